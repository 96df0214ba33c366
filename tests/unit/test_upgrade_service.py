"""The upgrade page's use cases, over parts in memory."""

from dataclasses import replace
from http import HTTPStatus

import pytest
from tollkeeper_core.domain.billing import RunningPlan
from tollkeeper_core.domain.config import Config
from tollkeeper_core.domain.ledger import LedgerUnavailableError
from tollkeeper_core.domain.links import LINK_SECONDS, LinkError
from tollkeeper_core.domain.movements import Grant, PromptState, SubscriptionState
from tollkeeper_core.domain.offers import KeptPlan, PackTerms, PlanTerms
from tollkeeper_core.domain.periods import Window
from tollkeeper_core.domain.problems import Problem

from tests.support.upgrade import APP, NOW_MS, Upgrade, example_config

PAGE = "https://page.test/"
HOUR_MS = 3_600_000


def buy_starter(up: Upgrade, token: str) -> None:
    up.service.start_checkout(token, "pack", "starter", PAGE)


def grant(up: Upgrade, prompt_id: str | None, user_id: str = "ada") -> None:
    up.ledger.grant(
        Grant(user_id, f"cs_{prompt_id}", "starter", 4 * 10**9, 500, "usd", None, prompt_id, NOW_MS)
    )


def subscribe(up: Upgrade, tier: str = "pro") -> None:
    up.ledger.apply_subscription(
        SubscriptionState("ada", "sub_1", "p", tier, NOW_MS + HOUR_MS, (1, 0), None, NOW_MS)
    )


def test_the_page_shows_where_the_user_stands_and_what_is_for_sale():
    up = Upgrade()
    up.ledger.used["ada"] = {Window.DAILY: 50_000_000, Window.MONTHLY: 209_999_999}
    grant(up, None)
    page = up.service.page(up.blocked_token())
    assert page.usage["windows"]["daily"] == {"percent": 100, "resets_at": "2026-11-26T00:00:00Z"}
    assert page.usage["windows"]["monthly"]["percent"] == 41
    assert page.usage["credits"] == [{"currency": "usd", "balance_minor": 500, "display": "$5.00"}]
    assert [name for name, _ in page.packs] == ["starter", "plus"]
    assert [name for name, _ in page.plans] == ["pro_monthly"]
    assert page.state is PromptState.OPEN


def test_the_page_says_when_the_month_by_the_billing_day_ends():
    up = Upgrade()
    up.ledger.configs.config = example_config(monthly_anchor="subscription")
    plan = ("ada", "sub_1", "p", "pro", NOW_MS + HOUR_MS, (1, 0), None, NOW_MS, 12)
    up.ledger.apply_subscription(SubscriptionState(*plan))
    usage = up.service.page(up.token()).usage
    assert usage["windows"]["monthly"]["resets_at"] == "2026-12-12T00:00:00Z"


def test_another_users_credits_are_not_shown():
    up = Upgrade()
    grant(up, None, user_id="bob")
    assert up.service.page(up.token()).usage["credits"] == []


def test_a_plan_is_not_sold_to_who_has_it_or_better():
    up = Upgrade()
    subscribe(up)
    page = up.service.page(up.token())
    assert page.usage["tier"] == "pro"
    assert page.plans == []
    with pytest.raises(Problem) as refused:
        up.service.start_checkout(up.token(), "plan", "pro_monthly", PAGE)
    assert (refused.value.status, refused.value.code) == (HTTPStatus.NOT_FOUND, "unknown_offer")
    assert up.billing.requests == []


def test_a_tier_that_is_gone_does_not_stop_a_buyer():
    up = Upgrade()
    assert up.service.page(up.token(tier="gone")).usage["tier"] == "free"


def test_a_changed_configuration_is_read_again():
    up = Upgrade()
    up.service.page(up.token())
    up.config.publish(example_config(currency="eur"), NOW_MS)
    assert up.service.page(up.token()).config.settings.currency == "eur"


def test_a_pack_becomes_a_checkout_with_the_terms_of_the_click():
    up = Upgrade()
    token = up.token(user_id="ada")
    started = up.service.start_checkout(token, "pack", "starter", PAGE)
    (request,) = up.billing.requests
    assert started.url == f"{up.billing.base}/pay/cs_test_0"
    assert (request.title, request.price_minor, request.currency) == ("Starter", 500, "usd")
    assert request.interval is None
    assert request.metadata == {
        "tollkeeper": "test",
        "user_id": "ada",
        "prompt_id": "prm_1",
        "pack": "starter",
        "credit_nano": "4000000000",
        "price_minor": "500",
        "currency": "usd",
        "expires_days": "365",
        "trigger": "button",
        "from_tier": "free",
    }
    assert request.success_url == f"https://page.test/upgrade/done?t={token}&pack=starter"
    assert request.cancel_url == f"https://page.test/upgrade/done?t={token}&canceled=1"
    # Stripe takes an expiry of 30 minutes to 24 hours from now.
    assert 30 * 60 < request.expires_s - NOW_MS // 1000 <= 60 * 60
    assert PackTerms.read(request.metadata).metadata("test") == request.metadata


@pytest.mark.parametrize(("days", "hours"), [(29, "24"), (30, None)])
def test_credits_open_at_once_for_who_paid_long_ago(days: int, hours: str | None):
    up = Upgrade()
    fraud = {"fresh_hours": 24, "fresh_percent": 25, "trusted_days": 30}
    up.config.config = example_config(fraud=fraud)
    grant(up, None)
    up.clock.now_ms = NOW_MS + days * 24 * HOUR_MS
    buy_starter(up, up.token())
    (request,) = up.billing.requests
    assert request.metadata.get("fresh_hours") == hours


def test_a_plan_becomes_a_subscription():
    up = Upgrade()
    up.service.start_checkout(up.token(), "plan", "pro_monthly", PAGE)
    (request,) = up.billing.requests
    assert (request.price_minor, request.interval) == (1200, "month")
    terms = PlanTerms.read(request.metadata)
    assert (terms.plan, terms.tier, terms.user_id) == ("pro_monthly", "pro", "ada")
    assert terms.metadata("test") == request.metadata


def test_a_double_click_is_one_checkout_and_a_later_one_another():
    up = Upgrade()
    token = up.token()
    up.clock.now_ms = NOW_MS + 1_000
    buy_starter(up, token)
    up.clock.now_ms = NOW_MS + 59_999
    buy_starter(up, token)
    assert len(up.billing.requests) == 1
    up.clock.now_ms = NOW_MS + 60_000
    buy_starter(up, token)
    assert len(up.billing.requests) == 2


def test_a_new_price_is_never_an_old_checkout():
    up = Upgrade()
    token = up.token()
    buy_starter(up, token)
    packs = up.config.config.packs
    dearer = {**packs, "starter": packs["starter"].model_copy(update={"price_minor": 600})}
    up.config.publish(up.config.config.model_copy(update={"packs": dearer}), NOW_MS)
    buy_starter(up, token)
    assert [request.price_minor for request in up.billing.requests] == [500, 600]


@pytest.mark.parametrize(("kind", "name"), [("pack", "nope"), ("plan", "starter"), ("pack", "")])
def test_what_is_not_for_sale_starts_nothing(kind: str, name: str):
    up = Upgrade()
    with pytest.raises(Problem, match="not for sale"):
        up.service.start_checkout(up.token(), kind, name, PAGE)  # type: ignore[arg-type]
    assert up.billing.requests == []


def test_a_link_buys_once():
    up = Upgrade()
    token = up.token()
    grant(up, "prm_1")
    assert up.service.page(token).state is PromptState.PAID
    with pytest.raises(Problem) as refused:
        buy_starter(up, token)
    assert refused.value.code == "already_paid"
    buy_starter(up, up.token(prompt_id="prm_2"))


def test_an_expired_link_starts_nothing_and_still_watches_what_it_began():
    up = Upgrade()
    token = up.token()
    up.clock.now_ms += LINK_SECONDS * 1000
    for forbidden in (up.service.page, lambda t: buy_starter(up, t)):
        with pytest.raises(LinkError) as expired:
            forbidden(token)
        assert expired.value.expired
    assert up.service.status(token) == {"state": "open"}
    grant(up, "prm_1")
    assert up.service.status(token)["state"] == "paid"
    assert up.service.watch(token).state is PromptState.PAID
    up.clock.now_ms += 2 * HOUR_MS
    with pytest.raises(LinkError):
        up.service.status(token)


def test_status_tells_only_its_own_prompt():
    up = Upgrade()
    grant(up, "prm_1", user_id="bob")
    grant(up, "prm_2")
    assert up.service.status(up.token()) == {"state": "open"}
    assert up.service.status(up.token(prompt_id="prm_2"))["state"] == "paid"


def test_status_of_a_paid_prompt_brings_the_new_balance():
    up = Upgrade()
    grant(up, "prm_1")
    usage = up.service.status(up.token())["usage"]
    assert usage["credits"][0]["display"] == "$5.00"


@pytest.mark.parametrize("token", ["", "nonsense"])
def test_nothing_happens_without_a_link(token: str):
    up = Upgrade()
    up.ledger.down = up.config.down = True  # not even asked
    for call in (up.service.page, up.service.watch, up.service.status):
        with pytest.raises(LinkError):
            call(token)
    with pytest.raises(LinkError):
        buy_starter(up, token)


def test_a_ledger_that_is_away_is_said_to_be():
    up = Upgrade()
    up.ledger.down = True
    with pytest.raises(LedgerUnavailableError):
        up.service.page(up.token())
    with pytest.raises(LedgerUnavailableError):
        buy_starter(up, up.token())
    assert up.billing.requests == []


def test_errors_may_be_framed_even_while_the_configuration_is_out_of_reach():
    up = Upgrade()
    assert up.service.settings().allowed_origins == [APP]
    down = Upgrade()
    down.config.down = True
    assert down.service.settings().allowed_origins == [APP]


def test_an_offer_brings_its_own_currency_or_the_stages():
    up = Upgrade()
    packs = up.config.config.packs
    in_yen = {**packs, "starter": packs["starter"].model_copy(update={"currency": "jpy"})}
    config: Config = up.config.config.model_copy(update={"packs": in_yen})
    up.config.config = replace(up.config, config=config).config
    buy_starter(up, up.token())
    up.service.start_checkout(up.token(), "pack", "plus", PAGE)
    assert [request.currency for request in up.billing.requests] == ["jpy", "usd"]


def test_nothing_larger_is_sold_while_a_smaller_plan_is_to_follow():
    up = Upgrade()
    for following, offered in (("", ["pro_monthly"]), ("less", [])):
        plan = ("ada", "sub_1", "p", "free", NOW_MS + HOUR_MS, (len(following), 0), None, NOW_MS)
        up.ledger.apply_subscription(SubscriptionState(*plan, 0, 0, following))
        assert [name for name, _ in up.service.page(up.token()).plans] == offered


def running(up: Upgrade, kept_until_s: int, ends_s: int) -> None:
    less = PlanTerms("ada", "prm_0", "less", "free", 5, "usd")
    paid = KeptPlan(PlanTerms("ada", "prm_0", "p", "pro", 9, "usd"), kept_until_s)
    metadata = less.in_place_of("test", paid)
    up.billing.running["sub_1"] = RunningPlan(metadata, "month", ends_s)


def test_a_change_that_was_made_long_ago_is_not_undone_by_an_old_page():
    up = Upgrade()
    plan = ("ada", "sub_1", "p", "pro", NOW_MS + HOUR_MS, (1, 0), None, NOW_MS)
    up.ledger.apply_subscription(SubscriptionState(*plan, 0, 0, "less"))
    running(up, kept_until_s=100, ends_s=200)
    with pytest.raises(Problem) as refused:
        up.service.start_checkout(up.token(), "plan", "p", PAGE)
    assert refused.value.code == "unknown_offer"
    running(up, kept_until_s=200, ends_s=200)
    up.service.start_checkout(up.token(), "plan", "p", PAGE)
    assert [(change.price_minor, change.at_once) for change in up.billing.changes] == [(9, False)]


def test_no_larger_plan_is_begun_while_stripe_has_one_waiting():
    """Though its event has not come yet."""
    up = Upgrade()
    plan = ("ada", "sub_1", "p", "free", NOW_MS + HOUR_MS, (1, 0), None, NOW_MS)
    up.ledger.apply_subscription(SubscriptionState(*plan))
    running(up, kept_until_s=200, ends_s=200)
    with pytest.raises(Problem) as refused:
        up.service.start_checkout(up.token(), "plan", "pro_monthly", PAGE)
    assert (refused.value.code, up.billing.changes) == ("unknown_offer", [])
