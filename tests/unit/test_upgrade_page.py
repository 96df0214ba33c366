"""The upgrade page's function, event in and answer out, over parts in memory."""

import gzip
import html
import io
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import pytest
from tollkeeper_core import telemetry
from tollkeeper_core.domain.config import Config
from tollkeeper_core.domain.estimates import CALLS_MIN
from tollkeeper_core.domain.funnel import StepKind
from tollkeeper_core.domain.links import LINK_SECONDS, LinkReason
from tollkeeper_core.domain.movements import Claim, Grant, Hold, SubscriptionState
from tollkeeper_core.domain.periods import Window

from functions.upgrade_page.app import handler, site
from tests.support.function_server import Context, url_event
from tests.support.upgrade import APP, NOW_MS, Upgrade, example_config, in_experiment

JSON = {"accept": "application/json"}
FORM = {"content-type": "application/x-www-form-urlencoded"}


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: str

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def csp(self) -> dict[str, str]:
        policy = self.headers["content-security-policy"]
        return dict(part.split(" ", 1) for part in policy.split("; "))


@dataclass
class Page:
    """The function with its parts."""

    up: Upgrade

    def get(self, address: str, headers: dict[str, str] | None = None) -> Answer:
        return self._call(url_event("GET", address, headers=headers))

    def post(
        self,
        fields: dict[str, str],
        headers: dict[str, str] | None = None,
        path: str = "/upgrade/checkout",
    ) -> Answer:
        body = urlencode(fields).encode()
        given = {**FORM, **(headers or {})}
        return self._call(url_event("POST", path, body=body, headers=given))

    def _call(self, event: dict[str, Any]) -> Answer:
        returned = handler(event, Context())
        assert not returned["isBase64Encoded"]
        return Answer(returned["statusCode"], returned["headers"], returned["body"])


@pytest.fixture
def page(monkeypatch: pytest.MonkeyPatch) -> Iterator[Page]:
    found = Page(Upgrade())
    monkeypatch.setattr(telemetry.metrics.provider, "namespace", "Tollkeeper")
    wired, site.state.upgrade_service = site.state.upgrade_service, lambda: found.up.service
    yield found
    site.state.upgrade_service = wired


def grant(up: Upgrade, prompt_id: str | None = None) -> None:
    up.ledger.grant(Grant("ada", "cs_0", "starter", 4 * 10**9, 500, "usd", None, prompt_id, NOW_MS))


# -- What it shows ---------------------------------------------------------------------------------


def test_it_shows_the_usage_the_offers_and_the_owners_words(page: Page):
    page.up.ledger.used["ada"] = {Window.DAILY: 50_000_000, Window.WEEKLY: 146_000_000}
    grant(page.up)
    answer = page.get(f"/upgrade?t={page.up.blocked_token()}")
    assert answer.status == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    for text in (
        '<h1 tabindex="-1">Keep going</h1>',
        "Top up &amp; carry on.",
        "100% used",
        "73% used",
        '<time datetime="2026-11-26T00:00:00Z">on 26 Nov 2026, 00:00 UTC</time>',
        '<span>Credit balance</span> <span class="balance">$5.00</span>',
        "$5.00 of credit, valid for 1 year",
        "$12.00 <small>per month</small>",
        "16× your monthly limit",
    ):
        assert text in answer.body
    assert answer.body.index("Starter") < answer.body.index("Plus") < answer.body.index(">Pro<")


def test_two_users_of_different_variants_see_different_packs_and_texts(page: Page) -> None:
    page.up.config.config = in_experiment(
        packs=["plus", "starter"],
        plans=[],
        texts={"en": {"message": "Plus lasts longest.", "already_paid": "Paid, that is."}},
    )
    mine, held_out = (
        page.get(f"/upgrade?t={page.up.blocked_token(user_id=user)}").body
        for user in ("ada", "bob")
    )
    plain = example_config()
    page.up.config.config = plain
    without = page.get(f"/upgrade?t={page.up.blocked_token(user_id='bob')}").body
    assert held_out == without
    assert "Plus lasts longest." in mine
    assert "Top up &amp; carry on." not in mine
    assert mine.index('value="plus"') < mine.index('value="starter"')
    assert held_out.index('value="starter"') < held_out.index('value="plus"')
    assert 'value="pro_monthly"' in held_out
    assert 'value="pro_monthly"' not in mine


def test_what_a_variant_does_not_show_can_still_be_bought(page: Page) -> None:
    page.up.config.config = in_experiment(packs=["plus"], plans=[])
    token = page.up.blocked_token(user_id="ada")
    for chosen in ({"pack": "starter"}, {"plan": "pro_monthly"}):
        assert page.post({"t": token, **chosen}).status == 303
    assert [step.variant for step in page.up.steps] == ["copy:short"] * 4


def test_an_error_speaks_as_the_users_variant_does(page: Page) -> None:
    texts = {"en": {"already_paid": "Paid, that is.", "link_expired": "Too late."}}
    page.up.config.config = in_experiment(texts=texts)
    grant(page.up, "prm_1")
    paid = page.post({"t": page.up.blocked_token(user_id="ada"), "pack": "plus"})
    assert (paid.status, "Paid, that is." in paid.body) == (409, True)
    late = {user: page.up.token(user) for user in ("ada", "bob")}
    page.up.clock.now_ms += LINK_SECONDS * 1000
    said = {user: page.get(f"/upgrade?t={token}") for user, token in late.items()}
    assert {answer.status for answer in said.values()} == {410}
    assert ["Too late." in said[user].body for user in ("ada", "bob")] == [True, False]


#: AI spend that appears in no price, percentage or date: what users must never come to know.
CANARY: dict[str, Any] = {
    "limits": {"daily": "7.7731", "weekly": "31.3377", "monthly": "91.1939"},
    "plan": "6271.1849",
    "credit": "41.5329",
    "included": "3.8821",
    "used_nano": 3_141_592_653,
    "granted_nano": 41_532_900_001,
}


def canary_config(*, estimates: bool) -> Config:
    page = {"estimates": estimates}
    raw = example_config(page=page).model_dump(mode="json", by_alias=True)
    limits = raw["tiers"]["free"]["limits"]
    for window, usd in CANARY["limits"].items():
        limits[window]["limit_usd"] = usd
    raw["tiers"]["pro"]["limits"]["monthly"]["limit_usd"] = CANARY["plan"]
    raw["tiers"]["free"]["outage_grace_usd"] = "0.6173"
    raw["packs"]["starter"]["credit_usd"] = CANARY["credit"]
    raw["plans"]["pro_monthly"]["included_credit_usd"] = CANARY["included"]
    return Config.model_validate(raw)


@pytest.mark.parametrize("estimates", [False, True])
@pytest.mark.parametrize("lang", ["en", "de", "es", "fr", "pt", "ja"])
def test_no_ai_spend_is_in_anything_that_an_end_user_receives(
    page: Page, lang: str, estimates: bool
):
    """Where estimates are told as well: a number of calls of two digits that count, and no more."""
    up = page.up
    up.config.publish(canary_config(estimates=estimates), NOW_MS)
    up.ledger.calls["ada"] = 71_117
    up.ledger.used["ada"] = {Window.DAILY: CANARY["used_nano"], Window.MONTHLY: 71_828_182_845}
    nano = CANARY["granted_nano"]
    up.ledger.grant(Grant("ada", "cs_0", "starter", nano, 500, "usd", None, None, NOW_MS))
    up.ledger.grant(Grant("ada", "cs_1", "starter", nano, 500, "usd", None, "prm_9", NOW_MS))
    token, paid = up.blocked_token(), up.blocked_token(prompt_id="prm_9")
    answers = [
        page.get(f"{path}&lang={lang}", headers)
        for one in (token, paid)
        for path in (
            f"/upgrade?t={one}",
            f"/upgrade/done?t={one}",
            f"/upgrade/done?t={one}&pack=starter",
            f"/upgrade/done?t={one}&canceled=1",
            f"/upgrade/status?t={one}",
            "/upgrade?t=forged",
        )
        for headers in ({}, JSON)
    ]
    answers += [page.get(path) for path in ("/embed.js", "/embed.mjs", "/static/page.js")]
    answers += [
        page.post({"t": token, "lang": lang, **choice}, headers)
        for choice in ({"pack": "starter"}, {"plan": "pro_monthly"}, {"pack": "nope"}, {})
        for headers in ({}, JSON)
    ]
    up.ledger.down = True
    answers.append(page.get(f"/upgrade?t={token}&lang={lang}"))
    figures = {*CANARY["limits"].values(), CANARY["plan"], CANARY["credit"], CANARY["included"]}
    texts = {"0.6173", "3141592653", "3.14", "71.82", "71828182845", "41532900001", "nano"}
    for figure in figures:
        texts |= {figure, figure.replace(".", ""), figure.replace(".", ",")}
    for answer in answers:
        received = f"{answer.headers} {answer.body}".replace(token, "").replace(paid, "")
        # Also as a language would write it: 6,271,184.90 or 6.271.184,90.
        received += re.sub(r"(?<=[0-9])[.,\s](?=[0-9])", "", received)
        assert [text for text in texts if text in received] == []
    # A call costs 1.01 thousandths: credits are 41,121 and 16,831 of them, a month's cap 27,723.
    numbers = re.findall(r"[0-9][0-9.,\s]+", "".join(re.findall(GIVES, answers[0].body)))
    told = {re.sub("[^0-9]", "", number) for number in numbers}
    assert told == ({"41000", "16000", "27000"} if estimates else set())


GIVES = '<span class="offer-gives">(.*?)</span>'


def test_an_offer_says_how_many_calls_it_is_where_the_owner_wants_it(page: Page) -> None:
    config = example_config(page={"estimates": True})
    packs = {**config.packs, "plus": config.packs["plus"].model_copy(update={"gives": "Plenty"})}
    page.up.config.publish(config.model_copy(update={"packs": packs}), NOW_MS)
    page.up.ledger.used["ada"] = {Window.MONTHLY: 65_000_000, Window.WEEKLY: 60_000_000}

    def told(calls: int, lang: str = "en") -> list[str]:
        page.up.ledger.calls["ada"] = calls
        body = page.get(f"/upgrade?t={page.up.blocked_token()}&lang={lang}").body
        return re.findall(GIVES, body)

    assert told(CALLS_MIN - 1) == ["Plenty"]
    # A call costs 13 thousandths: credits are 307.7 and 1307.7 of them, a month 615.4.
    assert told(CALLS_MIN) == [
        "About 300 more messages",
        "About 1,300 more messages",
        "About 610 messages a month",
    ]
    assert told(CALLS_MIN, "es")[1:] == [
        "Aproximadamente 1300 mensajes más",
        "Aproximadamente 610 mensajes al mes",
    ]
    assert told(CALLS_MIN, "ja")[0] == "メッセージ約300件分"
    assert told(5_000_000, "fr")[1] == "Environ 1\u202f300\u202f000\u202f000 de messages de plus"
    page.up.config.publish(
        example_config(
            page={"estimates": True, "texts": {"en": {"gives_calls": "{count} answers, or so"}}}
        ),
        NOW_MS + 1,
    )
    assert told(CALLS_MIN)[0] == "300 answers, or so"


def test_credit_that_is_checked_or_on_hold_is_said_and_never_as_what_may_be_used(page: Page):
    day_ms, nano = 86_400_000, 4 * 10**9
    grants = [
        Grant("ada", "pi_1", "starter", nano, 500, "usd", None, "prm_9", NOW_MS,
              fresh_until_ms=NOW_MS + day_ms, fresh_nano=nano // 5),
        Grant("ada", "pi_2", "starter", nano, 300, "usd", None, None, NOW_MS),
    ]  # fmt: skip
    for one in grants:
        page.up.ledger.grant(one)
    page.up.ledger.claim(Claim("ada", "pi_2", "dp_1", (1, 0), 0, Hold.OPEN, NOW_MS))
    open_, paid = page.up.blocked_token(), page.up.blocked_token(prompt_id="prm_9")

    def said(token: str, lang: str = "en") -> str:
        body = page.get(f"/upgrade?t={token}&lang={lang}").body
        return html.unescape(re.sub(r"\s+", " ", re.sub(r"<[^>]+>", "", body.replace("</p>", " "))))

    when = "on 26 Nov 2026, 12:00 UTC"
    checked = f"$4.00 of it is being checked. You can use all of it {when}."
    held = "$3.00 of credit is on hold while its payment is being checked."
    assert f"Credit balance $5.00 {checked} {held}" in said(open_)
    assert f"Your balance is $5.00. {checked}" in said(paid)
    for lang, words in {
        "de": ("4,00 $ davon werden noch geprüft.", "Guthaben von 3,00 $ ist gesperrt"),
        "es": ("4,00 US$ de este saldo se está", "Un saldo de 3,00 US$ está retenido"),
        "fr": ("4,00 $US de ce solde est en cours", "Un crédit de 3,00 $US est bloqué"),
        "pt": ("US$ 4,00 desse saldo está", "Um crédito de US$ 3,00 está retido"),
        "ja": ("うち$4.00は確認中です。", "$3.00分のクレジットは、支払いの確認中"),
    }.items():
        text = said(open_, lang).replace("\xa0", " ").replace("\u202f", " ")
        assert [word for word in words if word not in text] == [], text
    status = page.get(f"/upgrade/status?t={paid}").json
    assert status["balance"] == "$5.00"
    assert status["checked"] == {"amount": "$4.00", "until": "2026-11-26T12:00:00Z"}
    assert status["usage"]["credits"] == [
        {
            "currency": "usd", "balance_minor": 500, "display": "$5.00",
            "on_hold_minor": 300, "on_hold_display": "$3.00",
            "checking_minor": 400, "checking_display": "$4.00",
            "checking_until": "2026-11-26T12:00:00Z",
        }
    ]  # fmt: skip

    page.up.clock.now_ms += day_ms
    assert "being checked. You" not in said(page.up.blocked_token())
    assert (
        page.get(f"/upgrade/status?t={page.up.blocked_token(prompt_id='prm_9')}").json["checked"]
        is None
    )


def test_the_page_is_small(page: Page):
    """What a browser asks for before it shows the page, as a compressing front sends it."""
    body = page.get(f"/upgrade?t={page.up.blocked_token()}&lang=de").body
    parts = [body, page.get("/static/page.css").body, page.get("/static/page.js").body]
    assert sum(len(gzip.compress(part.encode())) for part in parts) < 30_000


def test_a_buy_button_shows_no_block(page: Page):
    body = page.get(f"/upgrade?t={page.up.token()}").body
    assert "Add credits or upgrade</h1>" in body
    assert "Keep going" not in body
    assert "carry on" not in body


def test_a_hard_limit_says_that_credits_do_not_help(page: Page):
    token = page.up.token(tier="pro", reason=LinkReason("limit_reached", "daily"))
    body = page.get(f"/upgrade?t={token}").body
    assert "Credits do not go past the daily limit." in body
    assert "Upgrade your plan" not in body
    assert "Credits do not go past" not in page.get(f"/upgrade?t={page.up.blocked_token()}").body


def test_what_the_owner_writes_is_text(page: Page):
    config = example_config(copy={"title": "<script>alert(1)</script>", "upgrade_message": '"<b>'})
    page.up.config.publish(config, NOW_MS)
    body = page.get(f"/upgrade?t={page.up.blocked_token()}").body
    assert "<script>alert" not in body
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in body


def test_nothing_for_sale_is_said(page: Page):
    config = page.up.config.config.model_copy(update={"packs": {}, "plans": {}})
    page.up.config.publish(config, NOW_MS)
    body = page.get(f"/upgrade?t={page.up.token()}").body
    assert "nothing to buy at the moment" in body
    assert "Stripe" not in body


def test_a_paid_link_thanks(page: Page):
    grant(page.up, "prm_1")
    body = page.get(f"/upgrade?t={page.up.blocked_token()}").body
    assert 'data-view="paid"' in body
    assert "Your balance is $5.00." in body


# -- What protects it ------------------------------------------------------------------------------


def test_the_policy_allows_what_the_page_needs_and_nothing_else(page: Page):
    csp = page.get(f"/upgrade?t={page.up.token()}").csp
    assert csp == {
        "default-src": "'none'",
        "script-src": "'self'",
        "style-src": "'self'",
        "img-src": "'self' data:",
        "connect-src": "'self'",
        "form-action": "'self' https://checkout.stripe.test",
        "frame-ancestors": APP,
        "base-uri": "'none'",
    }


@pytest.mark.parametrize(
    ("origins", "expected"),
    [([], "'none'"), (["https://a.test", "https://b.test"], "https://a.test https://b.test")],
)
def test_who_may_frame_it(page: Page, origins: list[str], expected: str):
    page.up.config.publish(example_config(allowed_origins=origins), NOW_MS)
    for address in (
        f"/upgrade?t={page.up.token()}",
        f"/upgrade/done?t={page.up.token()}",
        "/upgrade?t=forged",
        "/nowhere",
    ):
        # An error may know the origins as they were a minute ago.
        page.up.clock.now_ms += 61_000
        assert page.get(address).csp["frame-ancestors"] == expected


def test_nothing_is_inline_and_nothing_comes_from_elsewhere(page: Page):
    pages = [
        page.get(f"/upgrade?t={page.up.blocked_token()}"),
        page.get(f"/upgrade/done?t={page.up.token()}"),
        page.get(f"/upgrade/done?t={page.up.token()}&canceled=1"),
        page.get("/upgrade?t=forged"),
    ]
    for answer in pages:
        assert not re.search(r"<script(?![^>]* src=)|<style|\sstyle=|\son\w+=", answer.body)
        loaded = re.findall(r'(?:src|href|action)="([^"]*)"', answer.body)
        assert all(re.match(r"/(?!/)|data:,$|$|https://app\.example\.com$", url) for url in loaded)


def test_the_address_is_kept_nowhere(page: Page):
    for address in (
        f"/upgrade?t={page.up.token()}",
        f"/upgrade/done?t={page.up.token()}",
        f"/upgrade/status?t={page.up.token()}",
        "/upgrade?t=forged",
        "/upgrade/status?t=forged",
    ):
        headers = page.get(address).headers
        assert headers["cache-control"] == "no-store"
        assert headers["referrer-policy"] == "no-referrer"
        assert headers["x-content-type-options"] == "nosniff"


def test_neither_token_nor_user_is_logged(page: Page, monkeypatch: pytest.MonkeyPatch):
    log = io.StringIO()
    monkeypatch.setattr(telemetry.logger.registered_handler, "stream", log)
    token = page.up.blocked_token(user_id="ada.lovelace")
    page.get(f"/upgrade?t={token}")
    page.post({"t": token, "pack": "starter"})
    page.get(f"/upgrade/status?t={token}")
    page.up.billing.down = page.up.ledger.down = True
    page.get(f"/upgrade?t={token}")
    page.post({"t": token, "pack": "starter"})
    page.up.ledger.down = False
    page.post({"t": token, "pack": "starter"})
    assert "no checkout" in log.getvalue()
    assert "no ledger" in log.getvalue()
    assert token not in log.getvalue()
    assert "lovelace" not in log.getvalue()


@pytest.mark.parametrize("path", ["/upgrade", "/upgrade/done", "/upgrade/status"])
def test_a_user_id_in_the_address_counts_for_nothing(page: Page, path: str):
    grant(page.up, "prm_1")
    token = page.up.token(user_id="bob")
    answer = page.get(f"{path}?t={token}&user_id=ada&user=ada")
    assert answer.status == 200
    assert "$5.00." not in answer.body
    assert "paid" not in page.get(f"/upgrade/status?t={token}&user_id=ada").body


# -- Links that do not count -----------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/upgrade", "/upgrade/done", "/upgrade/status"])
@pytest.mark.parametrize("query", ["", "?t=", "?t=forged", "?user_id=ada"])
def test_without_a_link_there_is_nothing(page: Page, path: str, query: str):
    answer = page.get(path + query)
    assert answer.status == 403
    assert "This link does not work" in answer.body
    problem = page.get(path + query, JSON)
    assert problem.status == 403
    assert problem.headers["content-type"] == "application/problem+json"
    assert problem.json["code"] == "link_invalid"


def test_an_expired_link_says_what_to_do(page: Page):
    token = page.up.token()
    page.up.clock.now_ms += LINK_SECONDS * 1000
    answer = page.get(f"/upgrade?t={token}")
    assert answer.status == 410
    assert "This link has expired" in answer.body
    assert "try again: you get a new one" in answer.body
    assert page.get(f"/upgrade?t={token}", JSON).json["code"] == "link_expired"
    assert page.post({"t": token, "pack": "starter"}, JSON).status == 410
    assert page.up.billing.requests == []
    assert page.get(f"/upgrade/status?t={token}").status == 200


# -- Checkout --------------------------------------------------------------------------------------


def test_a_script_gets_the_payments_address(page: Page):
    answer = page.post({"t": page.up.token(), "pack": "starter"}, JSON)
    assert (answer.status, answer.json) == (
        200,
        {"checkout_url": "https://checkout.stripe.test/pay/cs_test_0"},
    )
    (request,) = page.up.billing.requests
    assert request.success_url.startswith("http://page.test/upgrade/done?t=")


def test_a_payment_is_embedded_only_where_the_owner_has_set_it_up(page: Page):
    asked = {"t": page.up.token(), "pack": "starter", "embedded": "1"}
    assert "data-embedded" not in page.get(f"/upgrade?t={page.up.token()}").body
    assert set(page.post(asked, JSON).json) == {"checkout_url"}
    page.up.config.publish(example_config(checkout={"embedded_key": "pk_test_1"}), NOW_MS)
    page.up.clock.now_ms += 61_000
    assert "data-embedded" in page.get(f"/upgrade?t={page.up.token()}").body
    assert page.post(asked, JSON).json == {
        "secret": "cs_test_1_secret_x",
        "key": "pk_test_1",
        "script": "https://checkout.stripe.test/stripe.js",
    }
    # Neither without a script, nor where it is not asked for.
    assert page.post(asked).status == 303
    assert set(page.post({"t": asked["t"], "pack": "plus"}, JSON).json) == {"checkout_url"}


def test_a_form_is_led_to_the_payment(page: Page):
    answer = page.post({"t": page.up.token(), "plan": "pro_monthly"})
    assert answer.status == 303
    assert answer.headers["location"] == "https://checkout.stripe.test/pay/cs_test_0"
    assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({}, 422),
        ({"pack": "starter", "plan": "pro_monthly"}, 422),
        ({"user_id": "bob"}, 422),
        ({"pack": "nope"}, 404),
        ({"plan": "starter"}, 404),
        ({"pack": "x" * 9000}, 413),
    ],
)
def test_a_choice_that_is_none_starts_nothing(page: Page, fields: dict[str, str], status: int):
    answer = page.post({"t": page.up.token(), **fields}, JSON)
    assert answer.status == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert page.up.billing.requests == []


def test_a_form_without_a_script_finds_its_way_back(page: Page):
    token = page.up.token()
    page.up.billing.down = True
    for fields, status in (({"pack": "nope"}, 404), ({"pack": "starter"}, 502)):
        answer = page.post({"t": token, **fields})
        assert answer.status == status
        assert f'href="/upgrade?t={token}&amp;lang=en"' in answer.body
    assert page.post({"t": token, "pack": "starter"}, JSON).json["code"] == "checkout_failed"


def test_a_paid_link_sells_nothing_more(page: Page):
    grant(page.up, "prm_1")
    answer = page.post({"t": page.up.token(), "pack": "starter"}, JSON)
    assert (answer.status, answer.json["code"]) == (409, "already_paid")


# -- After the payment -----------------------------------------------------------------------------


def test_the_page_after_the_payment_waits_then_thanks(page: Page):
    address = f"/upgrade/done?t={page.up.token()}&pack=starter"
    waiting = page.get(address)
    assert 'data-view="waiting"' in waiting.body
    assert '<noscript><meta http-equiv="refresh" content="3"></noscript>' in waiting.body
    grant(page.up, "prm_1")
    thanks = page.get(address).body
    assert 'data-view="paid"' in thanks
    assert "$5.00 of credit added." in thanks
    assert "Your balance is $5.00." in thanks
    assert f'href="{APP}" target="_top">Continue' in thanks
    assert "http-equiv" not in thanks


@pytest.mark.parametrize("query", ["pack=nope", "plan=%3Cscript%3E", "pack=", "x=1"])
def test_what_was_bought_is_only_a_word(page: Page, query: str):
    grant(page.up, "prm_1")
    body = page.get(f"/upgrade/done?t={page.up.token()}&{query}").body
    assert "Your payment has arrived." in body


def test_a_canceled_payment_leads_back(page: Page):
    token = page.up.token()
    body = page.get(f"/upgrade/done?t={token}&canceled=1").body
    assert "Nothing was charged." in body
    assert f'href="/upgrade?t={token}&amp;lang=en"' in body


def test_a_page_that_is_closed_tells_it(page: Page):
    token, path = page.up.token(), "/upgrade/dismissed"
    answer = page.post({"t": token}, path=path)
    assert (answer.status, answer.body) == (204, "")
    assert answer.headers["cache-control"] == "no-store"
    assert [step.kind for step in page.up.steps] == [StepKind.DISMISSED]
    for fields, status in (({"t": token[:-2]}, 403), ({}, 403), ({"t": "x" * 9000}, 413)):
        assert page.post(fields, JSON, path).status == status
    assert page.get(f"{path}?t={token}").status == 405
    assert len(page.up.steps) == 1


def test_status(page: Page):
    address = f"/upgrade/status?t={page.up.token()}"
    assert page.get(address).json == {"state": "open"}
    grant(page.up, "prm_1")
    paid = page.get(address).json
    assert paid["state"] == "paid"
    assert paid["usage"]["credits"][0]["display"] == "$5.00"


@pytest.mark.parametrize(
    ("allowed", "claimed", "origins", "home"),
    [
        (["https://a.test"], None, ["https://a.test"], "https://a.test"),
        (
            ["https://a.test", "https://b.test"],
            "https://b.test",
            ["https://b.test"],
            "https://b.test",
        ),
        (["https://a.test", "https://b.test"], None, ["https://a.test", "https://b.test"], None),
        (
            ["https://a.test", "https://b.test"],
            "https://c.test",
            ["https://a.test", "https://b.test"],
            None,
        ),
        ([], "https://c.test", [], None),
    ],
)
def test_whom_the_page_talks_to(
    page: Page, allowed: list[str], claimed: str | None, origins: list[str], home: str | None
):
    page.up.config.publish(example_config(allowed_origins=allowed), NOW_MS)
    body = page.get(f"/upgrade?t={page.up.token(origin=claimed)}").body
    (found,) = re.findall(r'data-origins="([^"]*)"', body)
    assert json.loads(found.replace("&#34;", '"')) == origins
    assert re.findall(r'id="home" href="([^"]*)"', body) == ([home] if home else [])


# -- Outages ---------------------------------------------------------------------------------------


def test_an_outage_is_said_kindly_in_the_overlay_too(page: Page):
    page.up.ledger.down = page.up.config.down = True
    for path in ("/upgrade", "/upgrade/done"):
        answer = page.get(f"{path}?t={page.up.token()}")
        assert answer.status == 503
        assert "nothing was charged" in answer.body
        assert '<a class="button" href="">Try again</a>' in answer.body
        assert answer.csp["frame-ancestors"] == APP
    assert page.get(f"/upgrade/status?t={page.up.token()}", JSON).json["code"] == "unavailable"
    assert page.post({"t": page.up.token(), "pack": "starter"}, JSON).status == 503


def test_what_nobody_expected_is_said_kindly_and_logged(
    page: Page, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    def fail(*_: object) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr(page.up.ledger, "prompt_state", fail)
    answer = page.get(f"/upgrade?t={page.up.token()}")
    assert answer.status == 500
    assert "We cannot show this right now" in answer.body
    assert answer.csp["frame-ancestors"] == APP
    assert page.get(f"/upgrade/status?t={page.up.token()}", JSON).status == 500
    assert "a bug" in caplog.text
    assert page.up.token() not in caplog.text


# -- Files -----------------------------------------------------------------------------------------


def test_files_are_kept_by_their_content(page: Page):
    body = page.get(f"/upgrade?t={page.up.token()}").body
    addresses = re.findall(r'"(/static/[^"]*)"', body)
    assert len(addresses) == 2
    for address in addresses:
        answer = page.get(address)
        assert answer.status == 200
        assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
        stale = page.get(re.sub("v=.*", "v=old", address))
        assert stale.headers["cache-control"] == "no-cache"
        again = page.get(address, {"if-none-match": answer.headers["etag"]})
        assert (again.status, again.body) == (304, "")


def test_apps_may_load_the_overlay(page: Page):
    answer = page.get("/embed.js")
    assert answer.status == 200
    assert answer.headers["content-type"].startswith("text/javascript")
    assert answer.headers["cache-control"] == "public, max-age=3600"
    assert answer.headers["cross-origin-resource-policy"] == "cross-origin"
    assert page.get("/embed.js", {"if-none-match": f'"x", {answer.headers["etag"]}'}).status == 304


@pytest.mark.parametrize(
    "path",
    ["/static/app.py", "/static/..%2Fapp.py", "/static/../app.py", "/static/", "/", "/upgrade/"],
)
def test_nothing_else_is_served(page: Page, path: str):
    answer = page.get(path)
    assert answer.status in {404, 307}
    assert "import" not in answer.body


def test_a_file_needs_no_other_part(page: Page):
    site.state.upgrade_service = None
    assert page.get("/embed.js").status == 200


def test_another_method_is_refused(page: Page):
    answer = page.get("/upgrade/checkout", JSON)
    assert answer.status == 405
    assert answer.headers["allow"] == "POST"


def subscribed(page: Page, following: str) -> str:
    """The page of a subscriber to Pro, beside which there is a plan for less."""
    found = page.up.config.config
    less = found.plans["pro_monthly"].model_copy(update={"label": "Free+", "tier": "free"})
    plans = {**found.plans, "free_plus": less}
    page.up.config.config = found.model_copy(update={"plans": plans})
    until = (NOW_MS + 10**9, (1, 0), None, NOW_MS, 0, 0, following)
    plan = SubscriptionState("ada", "sub_1", "pro_monthly", "pro", *until)
    page.up.ledger.apply_subscription(plan)
    page.up.ledger.keep_customer("ada", "cus_1", None)
    return page.get(f"/upgrade?t={page.up.token()}").body


def test_a_subscriber_is_offered_less_for_later_and_the_portal(page: Page):
    body = subscribed(page, "")
    assert "Change to a smaller plan" in body
    assert "From the end of the time you have paid for" in body
    assert 'name="plan" value="free_plus"' in body
    assert 'value="pro_monthly"' not in body
    assert "/upgrade/portal" in body


def test_a_change_that_waits_is_shown_and_may_be_undone(page: Page):
    body = subscribed(page, "free_plus")
    assert "Free+ begins when the time you have paid for ends." in body
    assert 'name="plan" value="pro_monthly"' in body
    assert "Keep Pro" in body
    assert 'value="free_plus"' not in body
    done = page.get(f"/upgrade/done?t={page.up.token()}&later=free_plus").body
    assert "Free+ begins when" in done
