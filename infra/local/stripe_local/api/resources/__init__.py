"""The endpoints, one module for each family of resources; together they are the route table."""

from infra.local.stripe_local.api.call import Route
from infra.local.stripe_local.api.resources import (
    billing,
    catalog,
    customers,
    disputes,
    events,
    intents,
    payment_methods,
    payments,
    refunds,
    sessions,
    webhook_endpoints,
)

ROUTES: tuple[Route, ...] = (
    *sessions.ROUTES,
    *customers.ROUTES,
    *catalog.ROUTES,
    *intents.ROUTES,
    *payments.ROUTES,
    *payment_methods.ROUTES,
    *refunds.ROUTES,
    *disputes.ROUTES,
    *billing.ROUTES,
    *webhook_endpoints.ROUTES,
    *events.ROUTES,
)
