"""Bugs in what is kept of a payer: the customer at Stripe."""

from tests.mutants.mutant import Mutant

_FOLD = "tests/unit/test_fold.py"
_WEBHOOK = "tests/unit/test_stripe_event.py"
_RECONCILE = "tests/integration/test_reconcile.py"
_REBUILD = "tests/integration/test_cli_rebuild.py"

CUSTOMERS = (
    Mutant(
        name="customer-not-archived",
        harm="After a rebuild nobody can manage their plan, and each buyer has a second customer.",
        file="tollkeeper_core/services/stripe_events/books.py",
        find="            self.archive.write(postings)\n",
        replace="",
        tests=(_WEBHOOK,),
    ),
    Mutant(
        name="customer-not-restored",
        harm="The archive knows the customer, and a rebuild forgets it.",
        file="tollkeeper_core/lua/restore.lua",
        find='if ARGV[5] ~= "" then redis.call("SET", KEYS[6], ARGV[5]) end\n',
        replace="",
        tests=(_REBUILD,),
    ),
    Mutant(
        name="oldest-customer-restored",
        harm="A customer that was deleted at Stripe comes back: its portal does not open.",
        file="tollkeeper_core/domain/fold.py",
        find="self._customer = max(",
        replace="self._customer = min(",
        tests=(_FOLD,),
    ),
    Mutant(
        name="reconciliation-writes-what-is-known",
        harm="The archive grows with every plan each day, and verify finds versions that differ.",
        file="tollkeeper_core/services/reconcile.py",
        find="            if same and state.version[1] != 2:\n                return None\n",
        replace="            if same and state.version[1] != 2:\n                return False\n",
        tests=(_RECONCILE,),
    ),
)

BILLING_MUTANTS = CUSTOMERS
