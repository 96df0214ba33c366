"""Postings, read back: every answer as it was, and every state whatever the order."""

import itertools

import pytest
from tollkeeper_core.domain.differences import Difference, differences
from tollkeeper_core.domain.fold import UserFold, burn_order, sets_of, settlement_of, unbalanced
from tollkeeper_core.domain.ledger import Lot
from tollkeeper_core.domain.movements import Claimed, Granted, Hold, Settlement, SubscriptionState
from tollkeeper_core.domain.periods import cutoffs
from tollkeeper_core.domain.postings import (
    Posting,
    claim_postings,
    customer_postings,
    grant_postings,
    settlement_postings,
    subscription_postings,
)
from tollkeeper_core.domain.user_state import InEffect, Spent, Subscription, UserState, Word

NOW_MS = 1_795_600_000_000  # 2026-11-25
DAY_MS = 86_400_000
IDS = ("d:2026-11-25", "w:2026-11-23", "m:2026-11")


def settled(event: str = "e1", cost: int = 100, at_ms: int = NOW_MS, **more: object) -> Settlement:
    fields: dict[str, object] = {
        "allowance_nano": cost, "overrun_nano": 0, "lots_nano": {}, "period_ids": IDS,
        "tier": "free", "said_tier": "", "expired_nano": {}, **more,
    }  # fmt: skip
    return Settlement("a:b", event, cost, settled_ms=at_ms, replayed=True, **fields)  # type: ignore[arg-type]  # as the fields say


def granted(purchase: str = "cs_1", nano: int = 1_000, **more: object) -> Granted:
    fields: dict[str, object] = {
        "paid_minor": 500, "worth_minor": 500, "currency": "eur", "expires_ms": None,
        "fresh_until_ms": None, "fresh_nano": 0, "repaid_nano": 0, "paid_ms": NOW_MS, **more,
    }  # fmt: skip
    return Granted(
        "a:b",
        purchase,
        "plus",
        nano,
        granted_ms=NOW_MS,
        claimed=False,
        replayed=True,
        **fields,  # type: ignore[arg-type]  # as the fields say
    )


def claimed(
    taken: int, lots: dict[str, int], owed: int, claim: str = "re_1", **more: object
) -> Claimed:
    """A word by which ``taken`` of what was paid is taken, in all."""
    fields: dict[str, object] = {
        "version": (0, 2), "hold": Hold.NONE, "pack": "plus", "refunded_minor": taken,
        "frozen": False, **more,
    }  # fmt: skip
    return Claimed(
        "a:b",
        "cs_1",
        claim,
        taken_minor=taken,
        currency="eur",
        revoked_nano=owed - sum(lots.values()),
        lots_nano=lots,
        owed_nano=owed,
        claimed_ms=NOW_MS,
        replayed=True,
        **fields,  # type: ignore[arg-type]  # as the fields say
    )


def fold(*postings: Posting, now_ms: int = NOW_MS) -> UserFold:
    folded = UserFold("a:b", cutoffs(now_ms))
    for lines in sets_of(sorted(postings, key=lambda p: p.id)):
        folded.add(lines)
    return folded


def told(live: UserState, archive: UserState) -> list[Difference]:
    return list(differences(live, archive, cutoffs(NOW_MS)))


@pytest.mark.parametrize(
    "answer",
    [
        settled(),
        settled("e:1/ é"),
        settled(cost=100, allowance_nano=60, overrun_nano=10, lots_nano={"cs_2": 30, "cs_1": 10}),
        settled(cost=30, allowance_nano=0, lots_nano={"cs_1": 30}, tier="pro", said_tier="pro"),
        settled(expired_nano={"cs_9": 7, "cs_3": 1}),
        settled(cost=12, allowance_nano=0, lots_nano={f"cs_{n}": 1 for n in range(12, 0, -1)}),
    ],
)
def test_a_settlement_reads_back_as_it_was_answered(answer: Settlement) -> None:
    (lines,) = sets_of(sorted(settlement_postings(answer), key=lambda p: p.id))
    again = settlement_of(lines)
    assert again == answer
    assert again is not None
    assert list(again.lots_nano) == list(answer.lots_nano)
    assert list(again.expired_nano) == list(answer.expired_nano)


def test_a_call_that_cost_nothing_leaves_no_set_but_what_it_found_expired() -> None:
    assert settlement_postings(settled(cost=0)) == []
    (lines,) = sets_of(settlement_postings(settled(cost=0, expired_nano={"cs_1": 5})))
    assert settlement_of(lines) is None
    assert {line.kind for line in lines} == {"expire"}


@pytest.mark.parametrize(
    "answer",
    [
        granted(),
        granted(paid_minor=0),
        granted(repaid_nano=1_000, paid_minor=0),
        granted(expires_ms=NOW_MS + DAY_MS, repaid_nano=1),
        granted(paid_minor=0, worth_minor=900, fresh_until_ms=NOW_MS + 9, fresh_nano=250),
    ],
)
def test_a_purchase_reads_back_whatever_lines_were_0(answer: Granted) -> None:
    assert fold(*grant_postings(answer)).result().purchases == {"cs_1": answer}


def test_the_state_is_the_same_in_any_order() -> None:
    sets = [
        grant_postings(granted(repaid_nano=100)),
        settlement_postings(settled("e1", 50, allowance_nano=20, lots_nano={"cs_1": 30})),
        settlement_postings(settled("e2", 7, NOW_MS + 1, said_tier="pro")),
        claim_postings(claimed(100, {"cs_1": -200}, 0)),
        claim_postings(claimed(200, {"cs_1": -350}, 50, "dp_1")),
        claim_postings(claimed(0, {"cs_1": 40}, -10, version=(0, 3), refunded_minor=-100)),
    ]
    results = []
    for order in itertools.permutations(sets):
        folded = UserFold("a:b", cutoffs(NOW_MS))
        for lines in order:
            folded.add(lines)
        results.append(folded.result())

    assert all(result == results[0] for result in results)
    state = results[0]
    assert state.spent == dict.fromkeys(IDS, Spent(27, 57, 2))
    assert [lot.remaining_nano for lot in state.lots] == [900 - 30 - 200 - 350 + 40]
    assert state.owed_nano == -100 + 50 - 10
    assert (state.said_tier, state.settled_ms) == ("pro", NOW_MS + 1)
    assert state.in_effect == {"cs_1": InEffect(200, 200 + 400 - 50)}
    assert state.claims == {
        "cs_1": {"re_1": Word((0, 3), 0, Hold.NONE), "dp_1": Word((0, 2), 200, Hold.NONE)}
    }
    assert len(state.claimed) == 3


def test_periods_that_are_not_kept_any_more_are_left_out() -> None:
    old = settled("e1", at_ms=NOW_MS - 55 * DAY_MS, period_ids=("d:2026-10-01", *IDS[1:]))
    assert set(fold(*settlement_postings(old)).result().spent) == set(IDS[1:])


def test_lots_come_in_burn_order_without_those_that_are_used_up() -> None:
    state = fold(
        *grant_postings(granted("never")),
        *grant_postings(granted("later", expires_ms=NOW_MS + 2)),
        *grant_postings(granted("soon", expires_ms=NOW_MS + 1)),
        *grant_postings(granted("empty")),
        *settlement_postings(settled(cost=1_000, allowance_nano=0, lots_nano={"empty": 1_000})),
    ).result()
    assert [lot.id for lot in state.lots] == ["soon", "later", "never"]
    assert list(state.lots) == sorted(state.lots, key=burn_order)


def test_the_newest_word_on_a_subscription_counts_and_its_end_for_good() -> None:
    def word(at: int, kind: int, until_ms: int, tier: str = "pro") -> list[Posting]:
        return subscription_postings(
            SubscriptionState("a:b", "sub_1", "p", tier, until_ms, (at, kind), None, NOW_MS)
        )

    words = [word(1, 0, 10), word(3, 1, 30, "max"), word(3, 1, 20), word(2, 1, 99)]
    for order in itertools.permutations(words):
        folded = UserFold("a:b", cutoffs(NOW_MS))
        for lines in order:
            folded.add(lines)
        assert folded.result().subscriptions == {"sub_1": Subscription((3, 1), 30, "max", "p")}

    ended = fold(*itertools.chain(*words), *word(2, 2, 0)).result()
    assert ended.subscriptions["sub_1"].ended


@pytest.mark.parametrize(
    "word",
    [
        claimed(100, {"cs_1": -200}, 0),
        claimed(100, {"cs_2": -150, "cs_1": -20}, 30, version=(1_700_000_000, 3)),
        claimed(0, {}, 0, hold=Hold.OPEN, refunded_minor=0, frozen=True),
        claimed(0, {"cs_1": 7}, -7, refunded_minor=-100),
        claimed(0, {}, 0, "", version=(0, 0), refunded_minor=50),
    ],
)
def test_a_claim_reads_back_as_it_was_answered(word: Claimed) -> None:
    state = fold(*claim_postings(word)).result()
    assert state.claimed == {("cs_1", word.word): word}


def test_a_claim_on_a_purchase_that_is_not_there_yet_is_kept_and_freezes_it() -> None:
    early = claimed(200, {}, 0, pack="", refunded_minor=0)
    state = fold(*claim_postings(early)).result()
    assert state.claims == {"cs_1": {"re_1": Word((0, 2), 200, Hold.NONE)}}
    assert (state.lots, state.in_effect) == ((), {})
    waiting = fold(*claim_postings(early), *grant_postings(granted())).result()
    assert [lot.frozen for lot in waiting.lots] == [True]
    later = claimed(200, {"cs_1": -400}, 0, "", version=(0, 0))
    over = fold(*claim_postings(early), *grant_postings(granted()), *claim_postings(later)).result()
    assert [(lot.remaining_nano, lot.frozen) for lot in over.lots] == [(600, False)]


@pytest.mark.parametrize(
    ("holds", "taken", "frozen"),
    [
        ([], 0, False),
        ([Hold.OPEN], 0, True),
        ([Hold.OPEN, Hold.RELEASED], 500, True),
        ([Hold.WARNING], 499, True),
        ([Hold.WARNING], 500, False),
        ([Hold.WARNING, Hold.RELEASED], 0, False),
        ([Hold.RELEASED, Hold.NONE], 0, False),
    ],
)
def test_what_freezes_a_lot(holds: list[Hold], taken: int, frozen: bool) -> None:
    words = [
        claimed(0, {}, 0, f"dp_{n}", hold=hold, refunded_minor=0) for n, hold in enumerate(holds)
    ]
    words.append(claimed(taken, {}, 0, "re_9", refunded_minor=0))
    sets = [claim_postings(word) for word in words]
    state = fold(*itertools.chain(*sets), *grant_postings(granted())).result()
    assert [lot.frozen for lot in state.lots] == [frozen]


def test_what_is_wrong_with_a_record_is_told() -> None:
    lines = settlement_postings(settled())
    assert not unbalanced(lines)
    assert unbalanced(lines[:1])
    assert "does not sum to zero" in fold(lines[0]).problems[0]

    orphan = settled(cost=5, allowance_nano=0, lots_nano={"cs_7": 5})
    folded = fold(*settlement_postings(orphan))
    folded.result()
    assert folded.problems == ["lot cs_7 stands at -5, its purchase not on record"]


def test_each_difference_is_told_and_what_is_equal_is_not() -> None:
    def state() -> UserState:
        return fold(
            *settlement_postings(settled(cost=50, allowance_nano=20, lots_nano={"cs_1": 30})),
            *grant_postings(granted("cs_1")),
            *grant_postings(granted("cs_2")),
            *claim_postings(claimed(100, {"cs_1": -150}, 50)),
            *subscription_postings(
                SubscriptionState("a:b", "sub_1", "p", "pro", 9, (1, 0), None, NOW_MS)
            ),
        ).result()

    assert told(state(), state()) == []
    live = state()
    live.spent["d:2020-01-01"] = Spent(2, 2)  # long past: nobody has to keep it
    assert told(live, state()) == []

    live = state()
    live.spent[IDS[0]] = Spent(20, 51, 1)
    assert told(live, state()) == [
        Difference(
            "a:b",
            f"spent in {IDS[0]}",
            "allowance_nano 20, total_nano 51, calls 1",
            "allowance_nano 20, total_nano 50, calls 1",
        )
    ]
    live.spent[IDS[0]] = Spent(20, 50, 2)
    assert [d.what for d in told(live, state())] == [f"spent in {IDS[0]}"]
    live.spent[IDS[0]] = Spent(20, 50)  # it began before calls were counted
    assert told(live, state()) == []
    live.spent[IDS[0]] = Spent(20, 51)
    assert [d.what for d in told(live, state())] == [f"spent in {IDS[0]}"]

    live = state()
    del live.spent[IDS[2]]
    live.spent["d:2026-11-24"] = Spent(0, 1)
    assert [d.what for d in told(live, state())] == ["spent in d:2026-11-24", f"spent in {IDS[2]}"]

    live = state()
    live.lots = live.lots[:1]
    live.owed_nano += 1
    live.subscriptions = {}
    live.purchases.pop("cs_2")
    live.claims.clear()
    live.in_effect.clear()
    live.claimed.clear()
    assert [d.what for d in told(live, state())] == [
        "lot cs_2", "owed usd", "purchase cs_2", "claims on cs_1", "claims in effect on cs_1",
        "claim cs_1, re_1:0:2:100:0", "subscription sub_1",
    ]  # fmt: skip

    live = state()
    live.lots = tuple(reversed(live.lots))
    assert [d.what for d in told(live, state())] == ["burn order"]


def test_an_end_is_an_end_whichever_word_of_it_came_first() -> None:
    live, archive = UserState("u"), UserState("u")
    live.subscriptions["s"] = Subscription((5, 2), 0, "pro", "p")
    archive.subscriptions["s"] = Subscription((6, 2), 0, "pro", "p")
    assert told(live, archive) == []
    archive.subscriptions["s"] = Subscription((6, 1), 0, "pro", "p")
    assert told(live, archive)


def test_a_lot_says_what_it_is() -> None:
    live, archive = UserState("u"), UserState("u")
    live.lots = (Lot("cs_1", 10, 9, 500, "usd", None, 1),)
    (difference,) = told(live, archive)
    assert difference.archive == "none"
    assert difference.live.startswith("granted_nano 10, remaining_nano 9, worth_minor 500")


def test_of_two_customers_the_one_of_the_later_purchase_counts():
    sets = [customer_postings("ada", "cus_z", 5), customer_postings("ada", "cus_a", 9)]
    for order in (sets, sets[::-1]):
        fold = UserFold("ada", cutoffs(NOW_MS))
        for lines in order:
            fold.add(lines)
        assert fold.result().customer_id == "cus_a"


def test_a_customer_that_redis_lost_is_told_and_another_one_is_not():
    archived = UserState("ada", customer_id="cus_1")
    told = differences(UserState("ada"), archived, cutoffs(NOW_MS))
    assert [(d.what, d.live, d.archive) for d in told] == [("customer", "none", "cus_1")]
    assert not list(differences(UserState("ada", customer_id="cus_2"), archived, cutoffs(NOW_MS)))
    assert not list(differences(archived, UserState("ada"), cutoffs(NOW_MS)))


def test_when_it_was_paid_is_on_record_only_where_it_says_something() -> None:
    for late in (granted(paid_ms=NOW_MS - DAY_MS), granted()):
        lines = grant_postings(late)
        fold = UserFold("a:b", cutoffs(NOW_MS))
        fold.add(lines)
        assert fold.result().purchases == {"cs_1": late}
        assert any("paid_ms" in line.terms for line in lines) == (late.paid_ms != NOW_MS)
