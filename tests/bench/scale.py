"""How much is measured."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Scale:
    """``rounds`` of a race, ``operations`` of one turn, ``days`` that a user has lived,
    ``events`` settled in one turn.
    """

    rounds: int
    operations: int
    days: int
    events: int
    few_users: int
    many_users: int
    many_holds: int
    many_lots: int


FULL = Scale(
    rounds=40, operations=25, days=16, events=50, few_users=10, many_users=1_000_000,
    many_holds=1_000, many_lots=100,
)  # fmt: skip
QUICK = Scale(
    rounds=1,
    operations=3,
    days=2,
    events=10,
    few_users=10,
    many_users=2_000,
    many_holds=30,
    many_lots=8,
)
