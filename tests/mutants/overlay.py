"""Bugs in what the upgrade page and warnings are made of."""

from tests.mutants.mutant import EDGES, PROPERTY, Mutant

_LUA = "tollkeeper_core/lua"
_FOLD = "tests/unit/test_fold.py"
_LOST = "tests/property/test_rebuild.py"

CALLS = (
    Mutant(
        name="call-that-cost-nothing-counted",
        harm="Failed calls make the others look cheap: a pack promises more than it gives.",
        file=f"{_LUA}/settle.lua",
        find="if cost > 0 and counts_calls",
        replace="if counts_calls",
        tests=(EDGES, PROPERTY),
    ),
    Mutant(
        name="calls-counted-from-the-middle",
        harm="After an upgrade of the stack a month of calls is divided by a day's number.",
        file=f"{_LUA}/state.lua",
        find="return c.n > 0 or c.t == 0",
        replace="return true",
        tests=(EDGES,),
    ),
    Mutant(
        name="calls-not-restored",
        harm="A rebuild forgets how many calls there were: verify names every user.",
        file="tollkeeper_core/adapters/redis_admin.py",
        find='{each.total_nano} 0 0 {each.calls}"',
        replace='{each.total_nano} 0 0 0"',
        tests=(_LOST,),
    ),
    Mutant(
        name="lost-count-of-calls-accepted",
        harm="Verify does not see that a period's calls are counted wrong.",
        file="tollkeeper_core/domain/fold.py",
        find="name: each if spent.get(name, each).counts_calls else replace(each, calls=0)",
        replace="name: replace(each, calls=spent.get(name, each).calls)",
        tests=(_FOLD,),
    ),
)

OVERLAY_MUTANTS = (*CALLS,)
