"""The balance that a payer sees, where rounding has its edges."""

from typing import Any

import pytest
from tollkeeper_core.domain.credits import display_checked, display_credits
from tollkeeper_core.domain.ledger import Lot


def lot(remaining: int, granted: int, paid: int) -> Lot:
    return Lot("cs", granted, remaining, paid, "usd", None, 0)


@pytest.mark.parametrize(
    ("lots", "shown"),
    [
        ([(1_000, 1_000, 100)], 100),
        ([(999, 1_000, 100)], 99),
        ([(1, 1_000, 100)], 1),  # a tenth of a cent
        ([(0, 1_000, 100)], None),
        ([(999, 1_000, 100), (1, 1_000, 100)], 100),  # 99.9 and 0.1
        # Parts that have no end in any power of two, and add up to whole cents.
        ([(1, 3, 1)] * 3, 1),
        ([(1, 3, 100)] * 3, 100),
        ([(1, 3, 2), (2, 7, 3), (1, 21, 10)], 2),  # 14/21 + 18/21 + 10/21
        ([(1, 3, 2), (2, 7, 3), (1, 21, 9)], 1),
        ([(1, 7, 5)] * 98, 70),
        ([(1, 7, 5)] * 97, 69),
    ],
)
def test_it_is_the_exact_sum_rounded_down_once(
    lots: list[tuple[int, int, int]], shown: int | None
) -> None:
    found = display_credits(tuple(lot(*terms) for terms in lots), 0)
    assert found.get("usd", (None, ""))[0] == shown


HOUR_MS = 3_600_000


def fresh(
    remaining: int, open_at_once: int, hours: int = 10, currency: str = "usd", **more: Any
) -> Lot:
    """1000 for $5.00, bought at 0."""
    return Lot(
        "cs", 1_000, remaining, 500, currency, None, 0,
        fresh_until_ms=hours * HOUR_MS, fresh_nano=open_at_once, **more,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("lots", "hours", "shown"),
    [
        ([lot(1_000, 1_000, 500)], 0, {}),
        ([fresh(1_000, 200)], 0, {"usd": (400, 10)}),
        ([fresh(1_000, 200)], 5, {"usd": (200, 10)}),  # half of what was closed is open
        ([fresh(1_000, 200)], 10, {}),
        ([fresh(800, 200)], 0, {"usd": (400, 10)}),  # what was open is used: all that is left
        ([fresh(400, 200)], 7, {"usd": (120, 10)}),
        ([fresh(999, 1)], 0, {"usd": (499, 10)}),  # 0 may be used: of $4.99 all is checked
        ([fresh(1_000, 999)], 0, {"usd": (1, 10)}),  # 499.5 cents may be used
        ([fresh(1_000, 200), lot(1_000, 1_000, 500)], 0, {"usd": (400, 10)}),
        ([fresh(1_000, 200), fresh(1_000, 0, 20)], 0, {"usd": (900, 20)}),
        ([fresh(1_000, 200, frozen=True)], 0, {}),  # on hold, and in no balance
        ([fresh(1_000, 0), fresh(1_000, 0, 5, "eur")], 0, {"eur": (500, 5), "usd": (500, 10)}),
        ([fresh(1_000, 0)._replace(expires_ms=1)], 1, {}),
        ([lot(1_000, 1_000, 500)._replace(expires_ms=1)], 1, {}),
        ([fresh(1_000, 0)._replace(worth_minor=0)], 0, {"usd": (1, 10)}),  # never 0 is shown
    ],
)
def test_what_is_not_open_yet_is_told_of_the_balance(
    lots: list[Lot], hours: int, shown: dict[str, tuple[int, int]]
) -> None:
    found = display_checked(lots, hours * HOUR_MS)
    assert {c: (one.minor, one.until_ms // HOUR_MS) for c, one in found.items()} == shown
    for currency, one in found.items():
        assert one.minor <= display_credits(lots, hours * HOUR_MS)[currency][0]
