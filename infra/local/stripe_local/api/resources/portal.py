"""Customer portal sessions."""

from stripe.params.billing_portal import SessionCreateParams

from infra.local.stripe_local.account import Json
from infra.local.stripe_local.api.call import Call, Route
from infra.local.stripe_local.api.urls import check_url
from infra.local.stripe_local.errors import StripeError, missing_param, not_simulated
from infra.local.stripe_local.events import emit
from infra.local.stripe_local.objects.portal import CONFIGURATION, portal_session
from infra.local.stripe_local.words import words

_FIELDS = words("configuration customer flow_data locale return_url")
_FLOWS = words("payment_method_update subscription_cancel")
_FLOW = words("after_completion subscription_cancel type")
_KIND = "billing_portal.session"


def create(call: Call) -> Json:
    """POST /v1/billing_portal/sessions: a page for one customer, by an address nobody can guess."""
    fields, account = call.params, call.account
    for name in fields:
        if name not in _FIELDS:
            raise not_simulated(name)
    if not fields.get("customer"):
        raise missing_param("customer")
    account.get("customer", fields["customer"], param="customer", status=400)
    if fields.get("configuration", CONFIGURATION) != CONFIGURATION:
        raise StripeError(
            f"No such configuration: '{fields['configuration']}'",
            code="resource_missing",
            param="configuration",
        )
    check_url("return_url", fields.get("return_url"))
    _check_flow(call)
    secret = account.mint("portal_secret")
    session = account.add(
        portal_session(
            account.new_id(_KIND),
            customer=fields["customer"],
            created=account.now(),
            url=f"{call.base_url}/p/session/{secret}",
            fields=fields,
        ),
        secret=secret,
    )
    emit(account, f"{_KIND}.created", session, cause=call.cause)
    return session


def _check_flow(call: Call) -> None:
    data = call.params.get("flow_data")
    if data is None:
        return
    if data["type"] not in _FLOWS:
        raise not_simulated(f"flow_data[type]={data['type']}")
    for name in data:
        if name not in _FLOW:
            raise not_simulated(f"flow_data[{name}]")
    if (data["type"] == "subscription_cancel") != ("subscription_cancel" in data):
        raise missing_param("flow_data[subscription_cancel]")
    if "subscription_cancel" in data:
        param = "flow_data[subscription_cancel][subscription]"
        wanted = data["subscription_cancel"]["subscription"]
        found = call.account.get("subscription", wanted, param=param, status=400)
        if found["customer"] != call.params["customer"]:
            raise StripeError(
                f"The subscription {wanted} does not belong to this customer.", param=param
            )


ROUTES = (Route("POST", "/billing_portal/sessions", SessionCreateParams, create, _KIND),)
