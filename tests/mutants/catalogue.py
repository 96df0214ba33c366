"""All planted bugs."""

from tests.mutants.billing import BILLING_MUTANTS
from tests.mutants.books import BOOKS_MUTANTS
from tests.mutants.claims import CLAIM_MUTANTS
from tests.mutants.confidence import CONFIDENCE_MUTANTS
from tests.mutants.experiments import EXPERIMENT_MUTANTS
from tests.mutants.fraud import FRAUD_MUTANTS
from tests.mutants.funnel import FUNNEL_MUTANTS
from tests.mutants.overlay import OVERLAY_MUTANTS
from tests.mutants.scripts import SCRIPT_MUTANTS
from tests.mutants.sdk import SDK_MUTANTS
from tests.mutants.services import SERVICE_MUTANTS
from tests.mutants.top_up import TOP_UP_MUTANTS
from tests.mutants.webhook import WEBHOOK_MUTANTS

MUTANTS = (
    *SCRIPT_MUTANTS,
    *CLAIM_MUTANTS,
    *FRAUD_MUTANTS,
    *SERVICE_MUTANTS,
    *WEBHOOK_MUTANTS,
    *BILLING_MUTANTS,
    *TOP_UP_MUTANTS,
    *FUNNEL_MUTANTS,
    *BOOKS_MUTANTS,
    *EXPERIMENT_MUTANTS,
    *CONFIDENCE_MUTANTS,
    *OVERLAY_MUTANTS,
    *SDK_MUTANTS,
)
