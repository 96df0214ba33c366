"""What may fall due, by name; see `clockwork.py`."""

from infra.local.stripe_local.clockwork import Job
from infra.local.stripe_local.flows import checkout, payments, refunds

JOBS: dict[str, Job] = {
    **checkout.JOBS,
    **payments.JOBS,
    **refunds.JOBS,
}
