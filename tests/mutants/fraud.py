"""Bugs of what a user's earlier purchases say about the next one."""

from tests.mutants.mutant import ACCOUNTS, OFFERS, UPGRADE, Mutant

_ANSWERS = "tollkeeper_core/adapters/redis_purchases.py"

FRAUD_MUTANTS = (
    Mutant(
        name="disputed-payment-is-trusted",
        harm="A card that its bank called stolen makes the next stolen one trusted.",
        file=_ANSWERS,
        find=" and f\"claims:{one['purchase']}\" not in purchases",
        replace="",
        tests=(ACCOUNTS,),
    ),
    Mutant(
        name="free-pack-is-trusted",
        harm="Whoever had a pack for nothing a month ago may burn a stolen card's at once.",
        file=_ANSWERS,
        find='int(one["paid"]) > 0',
        replace='int(one["paid"]) >= 0',
        tests=(ACCOUNTS,),
    ),
    Mutant(
        name="last-payment-counts-as-first",
        harm="Each purchase makes a customer of years a stranger again.",
        file=_ANSWERS,
        find="return min(",
        replace="return max(",
        tests=(ACCOUNTS,),
    ),
    Mutant(
        name="plan-is-a-purchase-of-the-day",
        harm="A subscriber whose plan was renewed today may buy fewer packs.",
        file=_ANSWERS,
        find=' if not one["purchase"].startswith("in_")',
        replace="",
        tests=(ACCOUNTS,),
    ),
    Mutant(
        name="trust-begins-late",
        harm="Trust begins later than the owner said.",
        file="tollkeeper_core/domain/config.py",
        find="now_ms - first_paid_ms >= self",
        replace="now_ms - first_paid_ms > self",
        tests=(OFFERS, UPGRADE),
    ),
    Mutant(
        name="trust-not-asked",
        harm="Credits of a customer of years stay closed all the same.",
        file="tollkeeper_core/services/upgrade.py",
        find="trusted=fraud.trusts(account.first_paid_ms, now_ms),",
        replace="trusted=False,",
        tests=(UPGRADE,),
    ),
)
