"""Payment intents."""

from typing import Any

from stripe.params import (
    PaymentIntentCancelParams,
    PaymentIntentConfirmParams,
    PaymentIntentCreateParams,
    PaymentIntentListParams,
    PaymentIntentRetrieveParams,
    PaymentIntentUpdateParams,
)

from infra.local.stripe_local.account import Json
from infra.local.stripe_local.api.amounts import check_amount, check_currency
from infra.local.stripe_local.api.call import Call, Route
from infra.local.stripe_local.api.lists import list_objects
from infra.local.stripe_local.errors import (
    StripeError,
    missing_param,
    no_such,
    not_simulated,
    unexpected_state,
)
from infra.local.stripe_local.flows import intents, payments
from infra.local.stripe_local.metadata import merge_metadata
from infra.local.stripe_local.words import words

_FIELDS = words(
    """
    amount automatic_payment_methods capture_method confirm currency customer description
    error_on_requires_action metadata off_session payment_method receipt_email return_url
    setup_future_usage statement_descriptor statement_descriptor_suffix
    """
)
_CONFIRM = words(
    """
    error_on_requires_action off_session payment_method receipt_email return_url setup_future_usage
    """
)
_UPDATE = words(
    """
    amount description metadata payment_method receipt_email setup_future_usage
    statement_descriptor statement_descriptor_suffix
    """
)
_AUTOMATIC = ("automatic", "automatic_async")


def _check(fields: Json, known: frozenset[str]) -> None:
    for name in fields:
        if name not in known:
            raise not_simulated(name)


def create(call: Call) -> Json:
    """POST /v1/payment_intents, with `confirm=true` charged at once."""
    fields, account = call.params, call.account
    _check(fields, _FIELDS)
    if fields.get("capture_method", "automatic") not in _AUTOMATIC:
        raise not_simulated(f"capture_method={fields['capture_method']}")
    currency = check_currency(fields["currency"], "currency")
    check_amount(fields["amount"], currency)
    if fields.get("off_session") and not fields.get("confirm"):
        raise StripeError(
            "When creating a PaymentIntent with `off_session`, `confirm` must be true.",
            param="off_session",
        )
    if "customer" in fields:
        account.get("customer", fields["customer"], param="customer", status=400)
    method = _method(call, fields.get("customer"))
    if fields.get("confirm"):
        _check_confirmation(fields, method)
    intent = payments.create_intent(
        account,
        amount=fields["amount"],
        currency=currency,
        method_types=["card"],
        customer=fields.get("customer"),
        fields=fields,
    )
    automatic: Json = fields.get("automatic_payment_methods") or {"enabled": True}
    intent["automatic_payment_methods"] = {"allow_redirects": "always"} | automatic
    account.private(intent["id"])["return_url"] = fields.get("return_url")
    if method is not None:
        intent |= {"payment_method": method["id"], "status": "requires_confirmation"}
    if fields.get("confirm") and method is not None:
        return _charge(call, intent, method)
    return intent


def _check_confirmation(fields: Json, method: Json | None) -> None:
    if method is None:
        raise StripeError(
            "You cannot confirm this PaymentIntent because it's missing a payment method. You can "
            "either update the PaymentIntent with a payment method and then confirm it again, or "
            "confirm it again directly with a payment method or ConfirmationToken.",
            code="payment_intent_unexpected_state",
        )
    automatic = fields.get("automatic_payment_methods") or {}
    redirects = automatic.get("allow_redirects", "always") == "always"
    if redirects and not fields.get("off_session") and not fields.get("return_url"):
        raise StripeError(
            "This PaymentIntent is configured to accept payment methods enabled in your Dashboard. "
            "Because some of these payment methods might redirect your customer off of your page, "
            "you must provide a `return_url`.",
            param="return_url",
        )


def _method(call: Call, customer: str | None) -> Json | None:
    """Return the request's payment method. Raises StripeError where it is another customer's."""
    name = call.params.get("payment_method")
    if not name:
        return None
    method = intents.method_of_token(call.account, name) or call.account.find(name)
    if method is None or method["object"] != "payment_method":
        raise no_such("PaymentMethod", name, param="payment_method", status=400)
    owner = method["customer"]
    if owner is None or owner == customer:
        if owner is None and call.params.get("off_session") and customer:
            raise _not_attached(name)
        return method
    if customer is None:
        raise StripeError(
            "The provided PaymentMethod belongs to a Customer. Please include the Customer in the "
            "`customer` parameter on the PaymentIntent.",
            param="payment_method",
        )
    raise _not_attached(name)


def _not_attached(name: str) -> StripeError:
    return StripeError(
        f"The customer does not have a payment method with the ID {name}. The payment method must "
        "be attached to the customer.",
        code="resource_missing",
        param="payment_method",
    )


def _charge(call: Call, intent: Json, method: Json) -> Json:
    with call.account.on_clock_of(call.account.find(intent["customer"])):
        return intents.confirm(
            call.account,
            intent,
            method,
            off_session=bool(call.params.get("off_session")),
            refuse_challenge=bool(call.params.get("error_on_requires_action")),
            base_url=call.base_url,
        )


def confirm(call: Call) -> Json:
    """POST /v1/payment_intents/{id}/confirm."""
    _check(call.params, _CONFIRM)
    intent = retrieve(call)
    method = _method(call, intent["customer"]) or call.account.find(intent["payment_method"])
    if intent["status"] == "succeeded":
        raise unexpected_state(
            "You cannot confirm this PaymentIntent because it has already succeeded after being "
            "previously confirmed.",
            intent,
        )
    hidden = call.account.private(intent["id"])
    given: Json = {
        "automatic_payment_methods": intent["automatic_payment_methods"],
        "return_url": hidden.get("return_url"),
    }
    _check_confirmation(given | call.params, method)
    for name in ("receipt_email", "setup_future_usage"):
        if name in call.params:
            intent[name] = call.params[name] or None
    if "return_url" in call.params:
        hidden["return_url"] = call.params["return_url"]
    if method is None:
        raise missing_param("payment_method")
    return _charge(call, intent, method)


def update(call: Call) -> Json:
    """POST /v1/payment_intents/{id}."""
    fields = dict(call.params)
    _check(fields, _UPDATE)
    intent = retrieve(call)
    if intent["status"] in ("succeeded", "canceled", "processing") and fields.keys() - {
        "metadata",
        "description",
    }:
        raise unexpected_state(
            f"This PaymentIntent's {sorted(fields)[0]} could not be updated because it has a "
            f"status of {intent['status']}.",
            intent,
        )
    if "amount" in fields:
        check_amount(fields["amount"], intent["currency"])
    if "metadata" in fields:
        intent["metadata"] = merge_metadata(intent["metadata"], fields.pop("metadata"))
    method = _method(call, intent["customer"])
    if method is not None:
        fields["payment_method"] = method["id"]
        intent["status"] = "requires_confirmation"
    intent |= {name: value if value != "" else None for name, value in fields.items()}
    return intent


def cancel(call: Call) -> Json:
    """POST /v1/payment_intents/{id}/cancel."""
    reason: Any = call.params.get("cancellation_reason")
    return intents.cancel(call.account, retrieve(call), reason)


def retrieve(call: Call) -> Json:
    """GET /v1/payment_intents/{id}."""
    return call.account.get("payment_intent", call.id, param="intent")


def list_all(call: Call) -> Json:
    """GET /v1/payment_intents."""
    return list_objects(call, "payment_intent", equal=("customer",))


_PATH = "/payment_intents"
ROUTES = (
    Route("POST", _PATH, PaymentIntentCreateParams, create, "payment_intent"),
    Route("GET", _PATH, PaymentIntentListParams, list_all, "list:payment_intent"),
    Route("GET", f"{_PATH}/{{id}}", PaymentIntentRetrieveParams, retrieve, "payment_intent"),
    Route("POST", f"{_PATH}/{{id}}", PaymentIntentUpdateParams, update, "payment_intent"),
    Route("POST", f"{_PATH}/{{id}}/confirm", PaymentIntentConfirmParams, confirm, "payment_intent"),
    Route("POST", f"{_PATH}/{{id}}/cancel", PaymentIntentCancelParams, cancel, "payment_intent"),
)
