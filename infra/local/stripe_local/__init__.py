"""A local Stripe: the API, the Checkout page and the signed webhooks, without real money.

`app.py` has two doors to one `account.py`: the API (`api/`, a table of routes whose parameters are
checked against the official types) and the pages (`pages.py`). Both act through `flows/`, where
each step changes `objects/` and emits its events; `deliveries.py` sends them, `clockwork.py` runs
what falls due. It is faithful in what it does, and refuses by name what it does not simulate.
"""

from infra.local.stripe_local.chaos import Chaos
from infra.local.stripe_local.deliveries import Retry
from infra.local.stripe_local.server import LocalStripe

__all__ = ["Chaos", "LocalStripe", "Retry"]
