"""Bugs of automatic top-ups: of who is charged, how often, and what ends it."""

from tests.mutants.mutant import Mutant

_TOP_UP = "tests/integration/test_auto_topup.py"
_DEATHS = "tests/integration/test_auto_topup_deaths.py"
_LUA = "tollkeeper_core/lua/top_up.lua"
_SERVICE = "tollkeeper_core/services/auto_top_up.py"

TOP_UP_MUTANTS = (
    Mutant(
        name="top-up-begins-beside-an-open-one",
        harm="Two messages at once are two charges.",
        file=_LUA,
        find='if t.outcome == "open" then\n    if',
        replace='if t.outcome == "never" then\n    if',
        tests=(_TOP_UP, _DEATHS),
    ),
    Mutant(
        name="top-up-cap-is-one-higher",
        harm="A month has one payment more than was agreed to.",
        file=_LUA,
        find="if paid >= tonumber(t.monthly_max)",
        replace="if paid > tonumber(t.monthly_max)",
        tests=(_TOP_UP,),
    ),
    Mutant(
        name="top-up-does-not-cool-down",
        harm="A runaway loop buys one pack after another.",
        file=_LUA,
        find="now < tonumber(t.attempt_ms) + cool then",
        replace="false then",
        tests=(_TOP_UP,),
    ),
    Mutant(
        name="top-up-goes-on-where-the-bank-asks",
        harm="A card that asks each time is tried again and again.",
        file=_LUA,
        find='if ARGV[5] == "authentication_required" or ',
        replace="if ",
        tests=(_TOP_UP,),
    ),
    Mutant(
        name="top-up-fails-once-too-often",
        harm="A refused card is tried once more than the owner said.",
        file=_LUA,
        find=">= tonumber(t.failures_max)",
        replace="> tonumber(t.failures_max)",
        tests=(_TOP_UP,),
    ),
    Mutant(
        name="top-up-comes-back-after-its-end",
        harm="A late event turns on what the user turned off.",
        file=_LUA,
        find="int(math.max(now, tonumber(t.bar_ms)))",
        replace='"0"',
        tests=(_TOP_UP,),
    ),
    Mutant(
        name="top-up-buys-what-was-refunded",
        harm="Whoever got a pack refunded is charged for the next one at once.",
        file=_LUA,
        find="if claims() > tonumber(t.claims) then",
        replace="if false then",
        tests=(_TOP_UP,),
    ),
    Mutant(
        name="top-up-is-sent-without-a-look",
        harm="What may be at Stripe already is sent again, after its key was forgotten perhaps.",
        file=_SERVICE,
        find="if customer and self.billing.find(",
        replace="if not customer and self.billing.find(",
        tests=(_TOP_UP, _DEATHS),
    ),
    Mutant(
        name="top-up-leaves-no-record",
        harm="A rebuild knows nothing of what was agreed to, or charged.",
        file=_SERVICE,
        find="            self._record(step.user_id, stepped.top_up)\n",
        replace="            pass\n",
        tests=(_TOP_UP, _DEATHS),
    ),
    Mutant(
        name="top-up-whatever-the-threshold",
        harm="A pack is bought while the last one is hardly touched.",
        file="tollkeeper_core/services/top_up_consent.py",
        find="credit_nano * wish.threshold_percent // 100",
        replace="credit_nano",
        tests=(_TOP_UP,),
    ),
    Mutant(
        name="top-up-by-a-pack-of-today",
        harm="A price that was raised since is charged without consent.",
        file=_SERVICE,
        find='amount_minor=int(metadata["price_minor"]),',
        replace='amount_minor=int(metadata["price_minor"]) + 1,',
        tests=(_TOP_UP,),
    ),
)
