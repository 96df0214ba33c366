"""Bugs in the funnel: counted twice, not on record, in the wrong row."""

from tests.mutants.mutant import FUNNEL, FUNNEL_STEPS, Mutant

_SCRIPT = "tollkeeper_core/lua/step.lua"
_SERVICE = "tollkeeper_core/services/count_steps.py"

FUNNEL_MUTANTS = (
    Mutant(
        name="step-counted-twice",
        harm="SQS delivers a step twice: the owner reads twice the conversion.",
        file=_SCRIPT,
        find="if kept then return kept end",
        replace="",
        tests=(FUNNEL,),
    ),
    Mutant(
        name="step-users-are-prompts",
        harm="A user with three prompts is read as three users.",
        file=_SCRIPT,
        find='if redis.call("SADD", KEYS[i], kind) == 1 then',
        replace='if redis.call("SADD", KEYS[i], kind) >= 0 then',
        tests=(FUNNEL,),
    ),
    Mutant(
        name="step-limit-told-at-every-block",
        harm="The owner's mail rule writes at every blocked call.",
        file=_SCRIPT,
        find='redis.call("SADD", KEYS[window], "limit") == 1',
        replace='redis.call("SADD", KEYS[window], "limit") >= 0',
        tests=(FUNNEL,),
    ),
    Mutant(
        name="step-not-archived",
        harm="The record knows of no funnel: a rebuilt Redis has lost it.",
        file=_SERVICE,
        find="        self.archive.write_steps([answer.line for answer in answers])\n",
        replace="",
        tests=(FUNNEL,),
    ),
    Mutant(
        name="step-counted-however-late",
        harm="After its marker's end, a step that comes again is counted again.",
        file=_SERVICE,
        find="if step.at_ms >= oldest_ms]",
        replace="if step.at_ms >= 0]",
        tests=(FUNNEL,),
    ),
    Mutant(
        name="step-doubles-in-the-record",
        harm="A step that came twice lies in two objects, and the whole report breaks off.",
        file="tollkeeper_core/adapters/step_bench.py",
        find="INSERT OR IGNORE",
        replace="INSERT",
        tests=(FUNNEL,),
    ),
    Mutant(
        name="step-keys-for-ever",
        harm="Every prompt leaves a key behind, until Redis is full.",
        file=_SCRIPT,
        find='redis.call("EXPIRE", KEYS[1], ARGV[6])',
        replace="",
        tests=(FUNNEL,),
    ),
    Mutant(
        name="step-forgotten-by-name",
        harm="A forgotten person's id stays in the record of steps.",
        file="tollkeeper_core/domain/forgetting.py",
        find="return {**step, **names}",
        replace="return dict(step)",
        tests=(FUNNEL,),
    ),
    Mutant(
        name="step-renewal-is-a-purchase",
        harm="Each month of a plan counts as another purchase of the prompt.",
        file="tollkeeper_core/services/stripe_events/invoices.py",
        find='if invoice.get("billing_reason") == "subscription_create":',
        replace='if invoice.get("billing_reason") in _BEGINS:',
        tests=(FUNNEL_STEPS,),
    ),
    Mutant(
        name="step-shown-when-paid",
        harm="Who comes back to a paid link is read as another prompt shown.",
        file="tollkeeper_core/services/upgrade.py",
        find="        if found.state is not PromptState.PAID:\n            self.tell(",
        replace="        if found.state is not None:\n            self.tell(",
        tests=(FUNNEL_STEPS,),
    ),
)
