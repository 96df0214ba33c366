"""All planted bugs."""

from tests.mutants.scripts import SCRIPT_MUTANTS
from tests.mutants.services import SERVICE_MUTANTS
from tests.mutants.webhook import WEBHOOK_MUTANTS

MUTANTS = (*SCRIPT_MUTANTS, *SERVICE_MUTANTS, *WEBHOOK_MUTANTS)
