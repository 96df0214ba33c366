"""The record's lines: balanced sets, and ids that never stand for two lines."""

from collections import Counter
from dataclasses import replace

import pytest
from tollkeeper_core.domain.movements import Claimed, FirstPayment, Granted, Hold, Settlement
from tollkeeper_core.domain.postings import (
    Posting,
    claim_postings,
    first_payment_postings,
    grant_postings,
    settlement_postings,
)

AT_MS = 1_795_608_000_000
SETTLED = Settlement(
    user_id="ada", event_id="e1", cost_nano=100, allowance_nano=60, overrun_nano=10,
    lots_nano={"cs_1": 30, "cs_2": 10}, period_ids=("d:1", "w:1", "m:1"), tier="free", said_tier="",
    expired_nano={"cs_3": 7}, settled_ms=AT_MS, replayed=False,
)  # fmt: skip
GRANTED = Granted(
    user_id="ada", purchase_id="cs_1", pack="starter", granted_nano=400, paid_minor=500,
    worth_minor=500, currency="eur", expires_ms=None, fresh_until_ms=None, fresh_nano=0,
    granted_ms=AT_MS, repaid_nano=50, claimed=False, replayed=False, paid_ms=AT_MS,
)  # fmt: skip
TAKEN = Claimed(
    user_id="ada", purchase_id="pi_1", claim_id="re_1", version=(0, 2), taken_minor=250,
    hold=Hold.NONE, pack="starter", currency="eur", refunded_minor=250, revoked_nano=200,
    lots_nano={"pi_1": -100, "pi_2": -50}, owed_nano=50, frozen=False, claimed_ms=AT_MS,
    replayed=False,
)  # fmt: skip
FROZEN = replace(
    TAKEN, claim_id="dp_1", taken_minor=0, hold=Hold.OPEN, refunded_minor=0, revoked_nano=0,
    lots_nano={}, owed_nano=0, frozen=True,
)  # fmt: skip
GIVEN_BACK = replace(
    TAKEN, version=(0, 3), taken_minor=0, refunded_minor=-250, revoked_nano=-200,
    lots_nano={"pi_1": 150}, owed_nano=-50,
)  # fmt: skip


def amounts(postings: list[Posting]) -> dict[str, int]:
    return {f"{posting.account} {posting.asset}": posting.amount for posting in postings}


@pytest.mark.parametrize(
    "postings",
    [
        settlement_postings(SETTLED),
        grant_postings(GRANTED),
        *map(claim_postings, (TAKEN, FROZEN, GIVEN_BACK)),
        first_payment_postings(FirstPayment("ada", "prm_1", "in_1", AT_MS)),
    ],
    ids=["settle", "grant", "claim", "freeze", "give back", "first"],
)
def test_each_set_sums_to_zero_for_each_asset_and_no_id_comes_twice(
    postings: list[Posting],
) -> None:
    sums: Counter[tuple[str, str]] = Counter()
    for posting in postings:
        sums[posting.set_id, posting.asset] += posting.amount
    assert set(sums.values()) == {0}
    assert len({posting.id for posting in postings}) == len(postings)


def test_a_settled_call_says_who_paid_and_what_expired() -> None:
    usage = "user:ada:usage usd_nano"
    assert amounts(settlement_postings(SETTLED)) == {
        usage: 100,
        "user:ada:allowance usd_nano": -60,
        "user:ada:lot:cs_1 usd_nano": -30,
        "user:ada:lot:cs_2 usd_nano": -10,
        "user:ada:lot:cs_3 usd_nano": -7,
        "expired usd_nano": 7,
    }


def test_a_purchase_repays_what_was_owed_first() -> None:
    assert amounts(grant_postings(GRANTED)) == {
        "user:ada:lot:cs_1 usd_nano": 350,
        "user:ada:owed usd_nano": 50,
        "sales:starter usd_nano": -400,
        "user:ada:paid eur_minor": 500,
        "cash eur_minor": -500,
    }


def test_a_claim_takes_back_the_sale_and_the_payment() -> None:
    assert amounts(claim_postings(TAKEN)) == {
        "user:ada:claim:pi_1 usd_nano": 0,
        "user:ada:lot:pi_1 usd_nano": -100,
        "user:ada:lot:pi_2 usd_nano": -50,
        "user:ada:owed usd_nano": -50,
        "sales:starter usd_nano": 200,
        "user:ada:paid eur_minor": -250,
        "cash eur_minor": 250,
    }


def test_a_claim_that_moves_nothing_is_on_record_all_the_same() -> None:
    (line,) = claim_postings(FROZEN)
    assert line.terms["hold"] == 3
    assert line.set_id == "claim:pi_1:dp_1:0:2:0:3"


def test_every_word_on_a_claim_is_a_set_of_its_own() -> None:
    words = [TAKEN, FROZEN, GIVEN_BACK, replace(TAKEN, claim_id="")]
    assert len({claim_postings(word)[0].set_id for word in words}) == len(words)


def test_the_same_answer_is_the_same_lines_whether_it_is_the_first_or_a_repetition() -> None:
    again = replace(SETTLED, replayed=True)
    assert settlement_postings(again) == settlement_postings(SETTLED)


def test_no_two_events_share_an_id() -> None:
    pairs = [("ada", "e1"), ("ada:e1", "e1"), ("ada", "e1:e1"), ("bob", "e1"), ("ada", "e2")]
    events = [replace(SETTLED, user_id=u, event_id=e, expired_nano={}) for u, e in pairs]
    ids = [posting.id for event in events for posting in settlement_postings(event)]
    assert len(set(ids)) == len(ids)


def test_a_call_that_cost_nothing_leaves_no_line() -> None:
    nothing = replace(SETTLED, cost_nano=0, allowance_nano=0, overrun_nano=0, lots_nano={},
                      expired_nano={})  # fmt: skip
    assert settlement_postings(nothing) == []
