"""A local Stripe: the API, the Checkout page and the signed webhooks, without real money."""

from infra.local.stripe_local.deliveries import Retry
from infra.local.stripe_local.server import LocalStripe

__all__ = ["LocalStripe", "Retry"]
