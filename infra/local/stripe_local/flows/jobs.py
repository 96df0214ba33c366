"""What may fall due, by name; see `clockwork.py`."""

from infra.local.stripe_local.clockwork import Job
from infra.local.stripe_local.flows import checkout, disputes, payments, refunds, renewals

JOBS: dict[str, Job] = {
    **checkout.JOBS,
    **disputes.JOBS,
    **payments.JOBS,
    **refunds.JOBS,
    **renewals.JOBS,
}
