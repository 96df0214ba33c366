"""Bugs in what the upgrade page and warnings are made of."""

from tests.mutants.mutant import EDGES, PROPERTY, STORE, Mutant

_ESTIMATES = "tollkeeper_core/domain/estimates.py"
_ESTIMATE = "tests/unit/test_estimates.py"
_PAGE = "tests/unit/test_upgrade_page.py"
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

ESTIMATES = (
    Mutant(
        name="estimate-to-the-last-digit",
        harm="A user who knows what their calls cost reads the owner's margin off the page.",
        file=_ESTIMATES,
        find="return number // unit * unit",
        replace="return number",
        tests=(_ESTIMATE, _PAGE),
    ),
    Mutant(
        name="estimate-rounded-up",
        harm="A pack promises more calls than it gives.",
        file=_ESTIMATES,
        find="return number // unit * unit",
        replace="return -(-number // unit) * unit",
        tests=(_ESTIMATE, _PAGE),
    ),
    Mutant(
        name="estimate-of-one-call",
        harm="One odd call decides what every pack says.",
        file=_ESTIMATES,
        find="if found.calls >= CALLS_MIN:",
        replace="if found.calls:",
        tests=(_ESTIMATE, _PAGE),
    ),
    Mutant(
        name="estimate-unasked",
        harm="Every owner's margin can be worked out, whether they like it or not.",
        file="functions/upgrade_page/views.py",
        find="if not found.config.settings.page.estimates:",
        replace="if False:",
        tests=(_PAGE,),
    ),
    Mutant(
        name="estimate-of-a-month-that-the-day-forbids",
        harm="A plan promises a month that its daily limit never lets anybody use.",
        file=_ESTIMATES,
        find="min([limits[window].limit_usd, *of_shorter])",
        replace="limits[window].limit_usd",
        tests=(_ESTIMATE, _PAGE),
    ),
)

PROMPTS = (
    Mutant(
        name="prompt-forgotten-before-its-link",
        harm="A link in an e-mail sells once more what its user has bought with it.",
        file="tollkeeper_core/adapters/redis_keys.py",
        find="PROMPT_S = 31 * DAY_S",
        replace="PROMPT_S = 7 * DAY_S",
        tests=(STORE,),
    ),
)

OVERLAY_MUTANTS = (*CALLS, *ESTIMATES, *PROMPTS)
