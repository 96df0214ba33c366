"""Bugs in experiments: users who move, shares that are wrong, a page of the wrong variant."""

from tests.mutants.mutant import EXPERIMENTS, FUNNEL, FUNNEL_STEPS, PAGE, Mutant

_ASSIGN = "tollkeeper_core/domain/split.py"

EXPERIMENT_MUTANTS = (
    Mutant(
        name="variant-same-people-in-every-experiment",
        harm="Whoever was held out once is held out for ever: each result carries the last one's.",
        file=_ASSIGN,
        find='f"{self.experiment}:{user_id}"',
        replace='f"{user_id}"',
        tests=(EXPERIMENTS,),
    ),
    Mutant(
        name="variant-by-the-process",
        harm="Two functions put the same user in two variants.",
        file=_ASSIGN,
        find="int.from_bytes(digest[:_HASH_BYTES])",
        replace="hash(digest)",
        tests=(EXPERIMENTS,),
    ),
    Mutant(
        name="variant-without-remainder",
        harm="Some users are in no variant: their page is an error.",
        file=_ASSIGN,
        find="            shares[name] += 1\n",
        replace="            shares[name] += 0\n",
        tests=(EXPERIMENTS,),
    ),
    Mutant(
        name="variant-for-who-is-held-out",
        harm="The hold-out sees a variant: nothing is left to compare with.",
        file=_ASSIGN,
        find="{HOLDOUT: held_out, **shares}",
        replace="{**shares, HOLDOUT: held_out}",
        tests=(EXPERIMENTS,),
    ),
    Mutant(
        name="variant-hides-from-sale",
        harm="Who opened the page before the experiment clicks on a plan that is refused.",
        file="tollkeeper_core/services/upgrade.py",
        find="_plan(page, page.plans, name)\n            steps",
        replace="_plan(page, page.plans_shown, name)\n            steps",
        tests=(PAGE,),
    ),
    Mutant(
        name="variant-texts-of-everybody",
        harm="A variant's words never reach the page: the experiment compares nothing.",
        file="tollkeeper_core/domain/config.py",
        find='self.settings.model_copy(update={"page": page})',
        replace="self.settings",
        tests=(PAGE,),
    ),
    Mutant(
        name="variant-lost-at-stripe",
        harm="No purchase is of any variant.",
        file="tollkeeper_core/domain/offers.py",
        find='_CAUSE = ("trigger", "from_tier", "variant")',
        replace='_CAUSE = ("trigger", "from_tier")',
        tests=(FUNNEL_STEPS,),
    ),
    Mutant(
        name="variant-last-page-counts",
        harm="Users are of the page that they saw last, which depends on what the first one did.",
        file="tollkeeper_core/lua/step.lua",
        find='if not had or tonumber(string.match(ARGV[9], "^%d+")) < ',
        replace='if not had or tonumber(string.match(ARGV[9], "^%d+")) > ',
        tests=(FUNNEL,),
    ),
    Mutant(
        name="variant-forgotten-by-name",
        harm="A forgotten person's id stays in the experiments.",
        file="tollkeeper_core/services/forget.py",
        find="        self.admin.mask_in_experiments(who)\n",
        replace="",
        tests=(FUNNEL,),
    ),
    Mutant(
        name="variant-of-buyers-alone",
        harm="Who bought without having seen the page counts as shown: every figure is too good.",
        file="tollkeeper_core/adapters/redis_funnel.py",
        find="if kind == StepKind.PROMPT_SHOWN:",
        replace="if kind:",
        tests=(FUNNEL,),
    ),
    Mutant(
        name="variant-not-counted",
        harm="Steps of all variants are one row.",
        file="tollkeeper_core/domain/funnel.py",
        find="(*parts, self.variant) if self.variant else parts",
        replace="parts",
        tests=(FUNNEL,),
    ),
)
