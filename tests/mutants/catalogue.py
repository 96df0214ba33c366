"""All planted bugs."""

from tests.mutants.scripts import SCRIPT_MUTANTS
from tests.mutants.services import SERVICE_MUTANTS

MUTANTS = (*SCRIPT_MUTANTS, *SERVICE_MUTANTS)
