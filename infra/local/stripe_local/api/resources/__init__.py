"""The endpoints, one module for each family of resources; together they are the route table."""

from infra.local.stripe_local.api.call import Route
from infra.local.stripe_local.api.resources import (
    catalog,
    customers,
    discounts,
    disputes,
    events,
    intents,
    invoices,
    payment_methods,
    payments,
    portal,
    previews,
    refunds,
    sessions,
    subscriptions,
    test_clocks,
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
    *discounts.ROUTES,
    *subscriptions.ROUTES,
    *invoices.ROUTES,
    *test_clocks.ROUTES,
    *portal.ROUTES,
    *previews.ROUTES,
    *webhook_endpoints.ROUTES,
    *events.ROUTES,
)
