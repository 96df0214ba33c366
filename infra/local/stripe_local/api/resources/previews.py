"""Invoice previews: what a change of a subscription would cost, tried on a copy of the account."""

import copy
from dataclasses import replace

from stripe.params import InvoiceCreatePreviewParams

from infra.local.stripe_local.account import Account, Json
from infra.local.stripe_local.api.call import Call, Route
from infra.local.stripe_local.api.resources import subscriptions as resource
from infra.local.stripe_local.errors import StripeError, missing_param, not_simulated
from infra.local.stripe_local.flows import renewals, subscriptions
from infra.local.stripe_local.words import words

_FIELDS = words("customer subscription subscription_details")
_DETAILS = words("items proration_behavior proration_date")


def create(call: Call) -> Json:
    """POST /v1/invoices/create_preview: of the next renewal, or of a change charged at once."""
    for name in call.params:
        if name not in _FIELDS:
            raise not_simulated(name)
    details = call.params.get("subscription_details", {})
    for name in details:
        if name not in _DETAILS:
            raise not_simulated(f"subscription_details[{name}]")
    wanted = call.params.get("subscription")
    if not wanted:
        raise missing_param("subscription")
    call.account.get("subscription", wanted, param="subscription", status=400)
    twin = Account(clock=call.account.real_clock)
    twin.state, twin.base_url = copy.deepcopy(call.account.state), call.account.base_url
    subscription = twin.get("subscription", wanted)
    if subscription["status"] in subscriptions.ENDED or subscription["cancel_at_period_end"]:
        raise StripeError("No upcoming invoices for customer", code="invoice_upcoming_none")
    before = subscription["latest_invoice"]
    if details:
        resource.update(replace(call, account=twin, params=details, id=wanted))
    if subscription["latest_invoice"] == before:
        end = subscriptions.end_of(subscription)
        with twin.at(end, subscription["test_clock"]):
            renewals.renew(twin, {"id": wanted, "at": end})
    invoice = twin.get("invoice", subscription["latest_invoice"])
    return invoice | {"id": f"upcoming_{invoice['id']}", "status": "draft"}


ROUTES = (Route("POST", "/invoices/create_preview", InvoiceCreatePreviewParams, create, "invoice"),)
