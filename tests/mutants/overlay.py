"""Bugs in what the upgrade page and warnings are made of."""

from tests.mutants.mutant import DISPLAY, EDGES, PROPERTY, STORE, Mutant

_ESTIMATES = "tollkeeper_core/domain/estimates.py"
_ESTIMATE = "tests/unit/test_estimates.py"
_PAGE = "tests/unit/test_upgrade_page.py"
_CREDITS = "tollkeeper_core/domain/credits.py"
_LUA = "tollkeeper_core/lua"
_THRESHOLDS = f"{_LUA}/thresholds.lua"
_WARNINGS = "tests/integration/test_warnings.py"
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
        name="month-of-some-counted-days",
        harm="A billing month's cost is divided by the calls of some of its days.",
        file=f"{_LUA}/state.lua",
        find="if not all then sum.n = 0 end",
        replace="",
        tests=("tests/integration/test_billing_months.py",),
    ),
    Mutant(
        name="calls-not-restored",
        harm="A rebuild forgets how many calls there were: verify names every user.",
        file="tollkeeper_core/adapters/redis_texts.py",
        find='{each.total_nano} 0 0 {each.calls}"',
        replace='{each.total_nano} 0 0 0"',
        tests=(_LOST,),
    ),
    Mutant(
        name="lost-count-of-calls-accepted",
        harm="Verify does not see that a period's calls are counted wrong.",
        file="tollkeeper_core/domain/differences.py",
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

WARNINGS = (
    Mutant(
        name="warned-each-time",
        harm="A user is told that half is used with every message that they send.",
        file=_THRESHOLDS,
        find='state.warned = table.concat(kept, ";")',
        replace="",
        tests=(_WARNINGS, PROPERTY),
    ),
    Mutant(
        name="warned-of-what-was-jumped-over",
        harm="A user at 85 percent is told that half is used.",
        file=_THRESHOLDS,
        find="{ 100, 80, 50 }",
        replace="{ 50, 80, 100 }",
        tests=(_WARNINGS, PROPERTY),
    ),
    Mutant(
        name="warned-in-a-refusal",
        harm="The warning is lost with an answer that shows none, and comes no more.",
        file=f"{_LUA}/reserve.lua",
        find="local warnings = admitted and take_warnings(tier, state, ids) or {}",
        replace="local warnings = take_warnings(tier, state, ids)",
        tests=(_WARNINGS, PROPERTY),
    ),
    Mutant(
        name="buyer-not-warned",
        harm="Whoever bought a bigger plan meets its wall without a word.",
        file=_THRESHOLDS,
        find="one.part > last.part or one.nano > last.nano",
        replace="one.part > last.part",
        tests=(_WARNINGS, PROPERTY),
    ),
    Mutant(
        name="warned-at-each-change-of-tier",
        harm="A user of two tiers by turns is warned with every call.",
        file=_THRESHOLDS,
        find="nano = math.max(one.nano, last.nano)",
        replace="nano = one.nano",
        tests=(_WARNINGS, PROPERTY),
    ),
    Mutant(
        name="warned-by-the-calendars-month",
        harm="In a month by the billing day the calendar decides who is warned.",
        file=_THRESHOLDS,
        find="state.month or ids[3]",
        replace="ids[3]",
        tests=("tests/integration/test_billing_months.py", PROPERTY),
    ),
    Mutant(
        name="warning-unheard",
        harm="Apps that wrap their client never learn that a limit is near.",
        file="tollkeeper/_core.py",
        find="if allowed.warnings and self._on_warning is not None:",
        replace="if False:",
        tests=("tests/sdk/test_against_the_product.py",),
    ),
)

CHECKED = (
    Mutant(
        name="checked-credit-shown-as-open",
        harm="A user sees a balance, is stopped all the same, and is told nothing of why.",
        file=_CREDITS,
        find="if lot.usable_nano(now_ms) < lot.remaining_nano]",
        replace="if lot.usable_nano(now_ms) < 0]",
        tests=(DISPLAY, _PAGE),
    ),
    Mutant(
        name="checked-credit-rounded-down",
        harm="More is shown as usable than may be used.",
        file=_CREDITS,
        find="max(1, _worth_minor(whole)) - _worth_minor(usable)",
        replace="_worth_minor(whole) - max(1, _worth_minor(usable))",
        tests=(DISPLAY, PROPERTY),
    ),
    Mutant(
        name="checked-until-the-first-is-open",
        harm="A user comes back at the time that they were told, and is stopped again.",
        file=_CREDITS,
        find="until_ms = max(",
        replace="until_ms = min(",
        tests=(DISPLAY,),
    ),
    Mutant(
        name="frozen-credit-in-the-balance",
        harm="Credit that a dispute keeps is shown as what may be used.",
        file=_CREDITS,
        find="return _display([lot for lot in lots if not lot.frozen], now_ms)",
        replace="return _display(list(lots), now_ms)",
        tests=(DISPLAY, _PAGE),
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

OVERLAY_MUTANTS = (*CALLS, *ESTIMATES, *WARNINGS, *CHECKED, *PROMPTS)
