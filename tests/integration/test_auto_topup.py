"""Automatic top-ups on a real Redis and the local Stripe, from the consent to the credits."""

import threading
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from tollkeeper_core.adapters import redis_keys as keys
from tollkeeper_core.domain.billing import BillingError
from tollkeeper_core.domain.differences import differences
from tollkeeper_core.domain.fold import UserFold, sets_of
from tollkeeper_core.domain.periods import cutoffs
from tollkeeper_core.domain.problems import Problem
from tollkeeper_core.domain.top_ups import Close, Mandate, Outcome
from tollkeeper_core.services.top_up_consent import TopUpWish

from functions.upgrade_page.auto_topup import auto_topup_view
from functions.upgrade_page.words import Words
from tests.support.redis_stack import RedisStack
from tests.support.top_up_shop import AUTO_TOPUP, HOUR_MS, MINUTE_MS, USD, TopUpShop
from tests.support.top_up_shop import open_top_up_shop as open_shop

PAYS_ONCE = "4000000000000341"
ASKS_EACH_TIME = "4000002760003184"
LOW = 3 * USD + USD // 2  # of 4 USD, and the daily limit of 0.05 comes first


@pytest.fixture
def shop(redis: RedisStack) -> Iterator[TopUpShop]:
    with open_shop(redis) as found:
        yield found


def test_low_credit_is_topped_up_once(shop: TopUpShop) -> None:
    first = shop.agree()
    assert not shop.burn(USD).tops_up
    assert shop.top_up() == "enough"

    assert shop.burn(5 * USD // 2).tops_up
    assert shop.top_up() == "charged"
    assert shop.balance < USD  # the webhook alone grants
    assert shop.top_up() == "waiting"
    shop.hear()

    (charge,) = shop.charges()
    assert (charge.amount, charge.customer) == (500, shop.shown.account.customer_id)
    (state,) = shop.admin.states(["ada"])
    assert set(state.purchases) == {first, charge.id}
    assert state.purchases[charge.id].granted_nano == 4 * USD
    assert shop.word == ("on", "", "paid")
    assert shop.top_up() == "not_due"


def test_settling_again_tells_it_again(shop: TopUpShop) -> None:
    shop.agree()
    first, again = shop.burn(LOW, "e"), shop.burn(LOW, "e")

    assert (first.tops_up, first.replayed) == (True, False)
    assert (again.tops_up, again.replayed) == (True, True)


def test_who_did_not_agree_is_never_charged(shop: TopUpShop) -> None:
    shop.agree(wish=None)

    assert not shop.burn(LOW).tops_up
    assert shop.top_up() == "none"
    assert shop.charges() == []
    assert shop.shown.account.top_up is None


def test_nothing_more_is_asked_of_redis_for_who_agreed_to_nothing(shop: TopUpShop) -> None:
    shop.agree(wish=None)
    shop.burn(1)
    redis = shop.admin  # the second call is warm

    def commands() -> Counter[str]:
        found = redis._client.execute(["INFO", "commandstats"])
        lines = [line for line in str(found).splitlines() if line.startswith("cmdstat_")]
        return Counter(
            {
                line.split(":")[0]: int(line.split("calls=")[1].split(",")[0])
                for line in lines
                if line.split(":")[0] not in ("cmdstat_info",)
            }
        )

    before = commands()
    shop.burn(1)
    spent = commands() - before
    assert spent["cmdstat_hmget"] == 3  # one of them reads the configuration in this test
    assert spent["cmdstat_get"] == 0


def test_twenty_at_once_are_one_charge(shop: TopUpShop) -> None:
    shop.agree()
    shop.burn(LOW)
    done: list[str] = []

    def message() -> None:
        for _ in range(20):
            try:
                done.append(shop.top_up())
                return
            except BillingError:
                continue  # the key is in use at this moment: SQS delivers it again

    threads = [threading.Thread(target=message) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(done) == 20
    assert len(shop.charges()) == 1
    shop.hear()
    assert shop.balance == 4 * USD + shop_rest()
    assert shop.stands.fields["attempts"] == "1"


def shop_rest() -> int:
    return 4 * USD - (LOW - 5 * USD // 100)


def test_the_pack_is_bought_as_it_was_agreed(shop: TopUpShop) -> None:
    shop.agree()
    dearer = shop.config.model_dump(mode="json", by_alias=True)
    dearer["packs"]["starter"] |= {"price_minor": 900, "credit_usd": "1.00"}
    shop.config = type(shop.config).model_validate(dearer)
    shop.admin.publish(shop.config, shop.clock())
    shop.burn(LOW)
    shop.top_up()
    shop.hear()

    (charge,) = shop.charges()
    assert charge.amount == 500
    assert shop.balance > 4 * USD


def test_a_month_has_its_cap(shop: TopUpShop) -> None:
    shop.agree()
    done = []
    for _ in range(4):
        shop.burn(4 * USD)
        done.append(shop.top_up())
        shop.hear()
        shop.later(11 * MINUTE_MS)

    assert done == ["charged", "charged", "capped", "not_due"]
    assert len(shop.charges()) == 2
    assert not shop.burn(USD).tops_up  # no message till the month is over
    shop.later(32 * 24 * HOUR_MS)
    assert shop.burn(USD).tops_up
    assert shop.top_up() == "charged"


def test_between_two_lies_the_cool_down(shop: TopUpShop) -> None:
    shop.agree()
    shop.burn(4 * USD)
    shop.top_up()
    shop.hear()

    assert not shop.burn(4 * USD).tops_up
    assert shop.top_up() == "not_due"
    shop.later(10 * MINUTE_MS + 1)
    assert shop.burn(1).tops_up
    assert shop.top_up() == "charged"


def test_agreeing_again_does_not_cut_the_cool_down_short(shop: TopUpShop) -> None:
    shop.agree()
    shop.burn(LOW)
    assert shop.top_up() == "charged"
    shop.hear()

    shop.end()
    shop.agree(prompt="prm_2")
    shop.burn(12 * USD - LOW)
    assert shop.top_up() == "cooling"
    shop.later(10 * MINUTE_MS + 1)
    assert shop.top_up() == "charged"


def test_it_stops_after_failures_in_a_row(shop: TopUpShop) -> None:
    shop.agree(card=PAYS_ONCE)
    shop.burn(LOW)
    assert shop.top_up() == "failed"
    assert shop.word == ("on", "card_declined", "failed")
    shown: Any = auto_topup_view(shop.shown, Words("en"))
    assert shown["agreed"]["failed"]
    assert shop.stands.fields["paid"] == "0"  # it does not count as one of the month's

    shop.later(11 * MINUTE_MS)
    assert shop.burn(1).tops_up
    assert shop.top_up() == "failed"

    assert shop.word == ("stopped", "failures", "failed")
    assert not shop.burn(1).tops_up
    shop.later(HOUR_MS)
    assert shop.top_up() == "not_due"
    shop.hear()
    assert shop.word == ("stopped", "failures", "failed")
    assert [one.kind for one in shop.bus.told].count("payment.failed") == 2
    shown = auto_topup_view(shop.shown, Words("en"))
    assert shown["agreed"]["stopped"] == "failures"


def test_it_stops_where_the_bank_wants_to_ask(shop: TopUpShop) -> None:
    shop.agree(card=ASKS_EACH_TIME)
    shop.burn(LOW)

    assert shop.top_up() == "failed"

    assert shop.word == ("stopped", "authentication_required", "failed")
    shown: Any = auto_topup_view(shop.shown, Words("en"))
    assert shown["agreed"]["stopped"] == "authentication_required"
    assert shown["offer"] is not None  # it can be turned on again

    shop.agree(prompt="prm_2")
    assert shop.word[:2] == ("on", "")
    shop.burn(4 * USD)
    shop.later(11 * MINUTE_MS)
    assert shop.top_up() == "charged"


def test_a_failure_is_heard_of_by_the_event_alone(shop: TopUpShop) -> None:
    """The function died after Stripe had declined."""
    shop.agree(card=ASKS_EACH_TIME)
    shop.burn(LOW)
    sound = shop.admin.top_up

    def dies(step: Any, now_ms: int) -> Any:
        if isinstance(step, Close):
            raise OSError("killed")
        return sound(step, now_ms)

    shop.admin.top_up = dies  # type: ignore[method-assign]
    with pytest.raises(OSError, match="killed"):
        shop.top_up()
    shop.admin.top_up = sound  # type: ignore[method-assign]
    assert shop.word == ("on", "", "open")

    shop.hear()

    assert shop.word == ("stopped", "authentication_required", "failed")


def test_it_ends_when_the_user_says_so(shop: TopUpShop) -> None:
    shop.agree()
    shop.end()
    shop.end()

    assert shop.word[0] == "off"
    assert not shop.burn(LOW).tops_up
    assert shop.top_up() == "not_due"
    shop.hear()  # what was agreed before does not come back
    assert shop.word[0] == "off"
    shown: Any = auto_topup_view(shop.shown, Words("en"))
    assert shown["agreed"] is None
    shop.agree(prompt="prm_2")
    assert shop.word == ("on", "", "")


def test_what_is_claimed_back_is_not_bought_again(shop: TopUpShop) -> None:
    shop.agree()
    shop.burn(LOW)
    shop.top_up()
    shop.hear()
    (charge,) = shop.charges()
    shop.client.v1.refunds.create({"payment_intent": charge.id})
    shop.hear()
    shop.later(11 * MINUTE_MS)

    assert shop.burn(1).tops_up
    assert shop.top_up() == "stopped"

    assert shop.word[:2] == ("stopped", "claimed")
    assert len(shop.charges()) == 1


def test_a_refund_and_a_dispute_are_as_for_any_purchase(shop: TopUpShop) -> None:
    shop.agree(card="4000000000000259")  # each charge is disputed
    shop.hear()
    (state,) = shop.admin.states(["ada"])
    assert all(lot.frozen for lot in state.lots)
    assert shop.burn(USD // 100).tops_up
    assert shop.top_up() in ("stopped", "charged")
    shop.hear()
    (state,) = shop.admin.states(["ada"])
    assert all(lot.frozen for lot in state.lots)


def test_packs_of_a_day_are_counted(shop: TopUpShop) -> None:
    shop.configure(auto_topup=AUTO_TOPUP, fraud={"purchases_per_day": 1})
    shop.agree()
    shop.burn(LOW)

    assert shop.top_up() == "put_off"
    assert shop.charges() == []
    assert not shop.burn(1).tops_up
    shop.later(25 * HOUR_MS)
    assert shop.burn(1).tops_up
    assert shop.top_up() == "charged"


def test_fresh_credit_is_fresh_here_too(shop: TopUpShop) -> None:
    shop.agree()
    shop.configure(auto_topup=AUTO_TOPUP, fraud={"fresh_hours": 10, "fresh_percent": 20})
    shop.burn(LOW)
    shop.top_up()
    shop.hear()

    (state,) = shop.admin.states(["ada"])
    (charge,) = shop.charges()
    granted = state.purchases[charge.id]
    assert granted.fresh_nano == 4 * USD // 5
    assert granted.fresh_until_ms is not None
    # What is not open yet is there: it is no reason to buy.
    shop.later(11 * MINUTE_MS)
    assert not shop.burn(USD).tops_up


def test_the_owner_turns_it_off_for_all(shop: TopUpShop) -> None:
    shop.agree()
    shop.configure()
    shop.burn(LOW)

    assert shop.top_up() == "put_off"
    assert not shop.burn(1).tops_up
    shown: Any = auto_topup_view(shop.shown, Words("en"))
    assert shown["agreed"]["paused"]
    assert shown["offer"] is None
    with pytest.raises(Problem):
        shop.agree(prompt="prm_2")
    assert shop.charges() == []


def test_a_card_that_is_gone_stops_it(shop: TopUpShop) -> None:
    payment = shop.agree()
    intent = shop.client.v1.payment_intents.retrieve(payment)
    shop.client.v1.payment_methods.detach(str(intent.payment_method))
    shop.burn(LOW)

    assert shop.top_up() == "failed"
    assert shop.word == ("stopped", "no_card", "failed")
    assert [one.kind for one in shop.bus.told].count("payment.failed") == 1


def test_a_day_later_an_attempt_is_looked_up_and_never_sent_again(shop: TopUpShop) -> None:
    shop.agree()
    shop.burn(LOW)
    die_before_stripe(shop)
    shop.later(21 * HOUR_MS)

    assert shop.top_up() == "lapsed"
    assert shop.charges() == []
    assert shop.word == ("on", "", "lapsed")
    shop.later(11 * MINUTE_MS)
    assert shop.burn(1).tops_up
    assert shop.top_up() == "charged"


def die_before_stripe(shop: TopUpShop) -> None:
    """The attempt is begun, and nothing was asked of Stripe."""
    service = shop.service

    def dies(*_: Any) -> None:
        raise BillingError("killed before Stripe")

    object.__setattr__(service, "billing", Dying(service.billing, dies))
    with pytest.raises(BillingError):
        service("ada")


class Dying:
    """A billing that does not charge."""

    def __init__(self, billing: Any, dies: Any) -> None:
        self.saved_card, self.find, self.charge = billing.saved_card, billing.find, dies


def test_ending_it_leaves_no_attempt_behind(shop: TopUpShop) -> None:
    shop.agree()
    shop.burn(LOW)
    die_before_stripe(shop)
    shop.end()

    assert shop.top_up() == "waiting"  # somebody may just be sending it
    shop.later(6 * MINUTE_MS)
    assert shop.top_up() == "lapsed"
    assert shop.charges() == []


@pytest.mark.parametrize("order", [(Outcome.PAID, Outcome.FAILED), (Outcome.FAILED, Outcome.PAID)])
def test_paid_is_the_last_word(shop: TopUpShop, order: tuple[Outcome, Outcome]) -> None:
    shop.agree()
    shop.burn(LOW)
    shop.top_up()
    attempt = shop.stands.attempt_id
    for outcome in order:
        why = "authentication_required" if outcome is Outcome.FAILED else ""
        shop.admin.top_up(Close("ada", attempt, outcome, why), shop.clock())

    assert shop.word == ("on", "", "paid")
    assert shop.stands.fields["paid"] == "1"
    assert shop.stands.fields["failures"] == "0"


@pytest.mark.parametrize(
    "wish", [TopUpWish(24, 1), TopUpWish(25, 0), TopUpWish(25, 4)], ids=["share", "none", "many"]
)
def test_what_is_not_offered_cannot_be_agreed_to(shop: TopUpShop, wish: TopUpWish) -> None:
    with pytest.raises(Problem) as raised:
        shop.agree(wish=wish)
    assert raised.value.status == 422


def test_the_record_brings_it_back(shop: TopUpShop, redis: RedisStack) -> None:
    shop.agree()
    shop.burn(LOW)
    shop.top_up()
    fold = UserFold("ada", cutoffs(shop.clock()))
    for lines in sets_of(sorted(shop.archive.postings.values(), key=lambda p: p.id)):
        fold.add(lines)
    archived = fold.result()
    (live,) = shop.admin.states(["ada"])
    assert fold.problems == []
    assert list(differences(live, archived, fold.cutoffs)) == []
    before = redis.direct.hget(keys.user("ada"), "topup")

    redis.flush()
    shop.admin.restore([archived], shop.clock())
    shop.admin.publish(shop.config, shop.clock())

    assert shop.word == ("on", "", "open")
    assert redis.direct.hget(keys.user("ada"), "topup") == before
    assert shop.top_up() == "waiting"  # it is found at Stripe
    shop.hear()
    assert shop.word == ("on", "", "paid")
    assert len(shop.charges()) == 1


def test_forgetting_takes_it_away(shop: TopUpShop, redis: RedisStack) -> None:
    shop.agree()
    shop.burn(LOW)
    shop.admin.delete_user("ada")

    assert redis.direct.get(keys.top_up("ada")) is None
    assert shop.top_up() == "none"
    assert shop.charges() == []


def test_a_redis_that_was_emptied_takes_no_step(shop: TopUpShop, redis: RedisStack) -> None:
    shop.agree()
    assert shop.stands.mandate is Mandate.ON
    redis.direct.delete("tk:config")
    from tollkeeper_core.domain.ledger import NothingPublishedError
    from tollkeeper_core.domain.top_ups import End

    with pytest.raises(NothingPublishedError):
        shop.admin.top_up(End("ada"), shop.clock())
