"""Bugs in the statistics of experiments: intervals that promise more than they hold."""

from tests.mutants.mutant import CONFIDENCE, Mutant

_FILE = "tollkeeper_core/domain/confidence.py"

CONFIDENCE_MUTANTS = (
    Mutant(
        name="confidence-of-one-look",
        harm="Who looks every day reads a difference that is none in every fourth experiment.",
        file=_FILE,
        find="width = math.sqrt(sample.variance) * margin(sample.count, alpha)",
        replace="width = 1.96 * math.sqrt(sample.variance / sample.count)",
        tests=(CONFIDENCE,),
    ),
    Mutant(
        name="confidence-without-the-hold-outs-share",
        harm="A small hold-out counts as if it were half of all users: differences out of nothing.",
        file=_FILE,
        find="other.variance * count / other.count",
        replace="other.variance * count / one.count",
        tests=(CONFIDENCE,),
    ),
    Mutant(
        name="confidence-squared-chance",
        harm="The boundary is that of four times the chance of being wrong.",
        file=_FILE,
        find="math.log(math.sqrt(grown) / alpha)",
        replace="math.log(grown / alpha) / 2",
        tests=(CONFIDENCE,),
    ),
    Mutant(
        name="confidence-tuned-to-nothing",
        harm="Intervals are far too wide to decide anything by.",
        file=_FILE,
        find="(doubled + math.log(doubled + 1)) / TUNED_TO",
        replace="1.0",
        tests=(CONFIDENCE,),
    ),
    Mutant(
        name="confidence-share-of-one-look",
        harm="A conversion is said to be known after a handful of users.",
        file=_FILE,
        find="seen, most = hits / count, -math.log(alpha)",
        replace="seen, most = hits / count, 1.92",
        tests=(CONFIDENCE,),
    ),
    Mutant(
        name="confidence-share-outside-in",
        harm="The end that is shown is one that the evidence rules out less than it says.",
        file=_FILE,
        find="        if evidence_against(middle, hits, count) < most:",
        replace="        if evidence_against(middle, hits, count) > most:",
        tests=(CONFIDENCE,),
    ),
)
