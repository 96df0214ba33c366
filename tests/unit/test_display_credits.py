"""The balance that a payer sees, where rounding has its edges."""

import pytest
from tollkeeper_core.domain.ledger import Lot, display_credits


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
