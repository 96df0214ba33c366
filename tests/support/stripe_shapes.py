"""Hold an object against Stripe's published shapes.

Two yardsticks: the example objects that Stripe publishes (`fixtures3.json`), and the classes of the
installed `stripe` package, which know every field, its type and the values of its enums.
"""

import sys
import types
import typing
from collections.abc import Iterator
from decimal import Decimal
from typing import Any, ForwardRef, get_args, get_origin

import stripe
from stripe import ListObject, StripeObject, checkout

# Fields of an example that a true answer may lack, with the reason.
_MAY_LACK = {
    # Shown only when expanded, since API version 2022-11-15.
    "charge.refunds",
    # Present for the type of payment method that it names.
    "charge.payment_method_details.card",
    "payment_method.card",
}

# A field that the published example has, always null, and the classes no longer know.
_ONLY_IN_EXAMPLE = {"invoice.subscription"}

RESOURCES: dict[str, type] = {
    "balance_transaction": stripe.BalanceTransaction,
    "billing_portal.session": stripe.billing_portal.Session,
    "charge": stripe.Charge,
    "checkout.session": checkout.Session,
    "customer": stripe.Customer,
    "dispute": stripe.Dispute,
    "coupon": stripe.Coupon,
    "discount": stripe.Discount,
    "event": stripe.Event,
    "invoice": stripe.Invoice,
    "invoiceitem": stripe.InvoiceItem,
    "invoice_payment": stripe.InvoicePayment,
    "item": stripe.LineItem,
    "line_item": stripe.InvoiceLineItem,
    "payment_intent": stripe.PaymentIntent,
    "payment_method": stripe.PaymentMethod,
    "plan": stripe.Plan,
    "price": stripe.Price,
    "product": stripe.Product,
    "promotion_code": stripe.PromotionCode,
    "radar.early_fraud_warning": stripe.radar.EarlyFraudWarning,
    "refund": stripe.Refund,
    "subscription": stripe.Subscription,
    "subscription_item": stripe.SubscriptionItem,
    "test_helpers.test_clock": stripe.test_helpers.TestClock,
    "webhook_endpoint": stripe.WebhookEndpoint,
}


def differences(obj: dict[str, Any], examples: dict[str, Any] | None = None) -> list[str]:
    """Return what Stripe would not have answered like this; `examples` by kind of object."""
    kind = obj["object"]
    example = None if examples is None else examples[kind]
    return list(_object(obj, RESOURCES[kind], example, kind, examples))


def _object(
    value: dict[str, Any], cls: type, example: Any, path: str, examples: dict[str, Any] | None
) -> Iterator[str]:
    fields = {k: v for k, v in cls.__annotations__.items() if k != "OBJECT_NAME"}
    if example and "object" in value and example.get("object") != value["object"]:
        example = None
    known = set(fields) | set(example or {})
    for name in value.keys() - known:
        if f"{path}.{name}" in _ONLY_IN_EXAMPLE and value[name] is None:
            continue
        yield f"{path}.{name}: Stripe has no such field"
    # The classes write alike what may be null and what may be absent: only a plain type is needed
    # for sure. An example shows every field that an answer has.
    needed = set(example or {}) | {n for n, a in fields.items() if a in (str, int, bool)}
    for name in needed - value.keys():
        if f"{path}.{name}" not in _MAY_LACK:
            yield f"{path}.{name}: missing"
    for name in value.keys() & fields.keys():
        sample = example.get(name) if example else None
        yield from _value(value[name], fields[name], sample, f"{path}.{name}", cls, examples)


def _value(
    value: Any, annotation: Any, sample: Any, path: str, cls: type, examples: dict[str, Any] | None
) -> Iterator[str]:
    annotation = _resolve(annotation, cls)
    members = (
        get_args(annotation)
        if get_origin(annotation) in (typing.Union, types.UnionType)
        else (annotation,)
    )
    members = tuple(_resolve(member, cls) for member in members)
    if value is None:
        if type(None) not in members:
            yield f"{path}: null, and Stripe does not allow it"
        return
    if sample is not None and type(sample) is not type(value):
        if not (isinstance(value, dict) and "object" in value):  # expanded
            yield f"{path}: {type(value).__name__}, the example has {type(sample).__name__}"
        return
    words = {w for m in members if get_origin(m) is typing.Literal for w in get_args(m)}
    if words and isinstance(value, str):
        if value not in words:
            yield f"{path}: {value!r} is none of {sorted(map(str, words))}"
        return
    yield from _structure(value, members, sample, path, cls, examples)


def _structure(
    value: Any,
    members: tuple[Any, ...],
    sample: Any,
    path: str,
    cls: type,
    examples: dict[str, Any] | None,
) -> Iterator[str]:
    kind = value.get("object") if isinstance(value, dict) else None
    if isinstance(kind, str) and kind in RESOURCES:
        example = None if examples is None else examples[kind]
        yield from _object(value, RESOURCES[kind], example, kind, examples)
    elif kind == "list":
        if set(value) != {"object", "data", "has_more", "url"}:
            yield f"{path}: not a list's fields: {sorted(value)}"
        for element in value["data"]:
            yield from _structure(element, members, None, path, cls, examples)
    elif isinstance(value, dict):
        yield from _hash(value, members, sample, path, examples)
    elif isinstance(value, list):
        inner = next((get_args(m)[0] for m in members if get_origin(m) is list), None)
        if inner is None:
            yield f"{path}: a list, and Stripe has none there"
            return
        for index, element in enumerate(value):
            first = sample[0] if sample else None
            yield from _value(element, inner, first, f"{path}[{index}]", cls, examples)
    elif not any(_is_scalar(value, member) for member in members):
        yield f"{path}: {value!r} is of the wrong type"


def _hash(
    value: dict[str, Any],
    members: tuple[Any, ...],
    sample: Any,
    path: str,
    examples: dict[str, Any] | None,
) -> Iterator[str]:
    classes = [m for m in members if isinstance(m, type) and issubclass(m, StripeObject)]
    maps = [m for m in members if get_origin(m) is not None and _is_map(get_origin(m))]
    if maps:
        if not all(isinstance(item, str) for item in value.values()):
            yield f"{path}: values are not all strings"
    elif not classes:
        yield f"{path}: a hash, and Stripe has none there"
    elif path == "event.data":
        yield from _value(value["object"], Any, None, f"{path}.object", classes[0], examples)
    else:
        yield from _object(value, classes[0], sample or None, path, examples)


def _is_map(origin: Any) -> bool:
    return origin is dict or (
        isinstance(origin, type)
        and issubclass(origin, StripeObject)
        and not issubclass(origin, ListObject)
    )


def _is_scalar(value: Any, member: Any) -> bool:
    if isinstance(value, bool):
        return member is bool or (
            get_origin(member) is typing.Literal and value in get_args(member)
        )
    if isinstance(value, int):
        return member in (int, float)
    if isinstance(value, float):
        return member is float
    # Decimals travel as strings.
    return isinstance(value, str) and (member is str or member is Decimal)


def _resolve(annotation: Any, cls: type) -> Any:
    if isinstance(annotation, ForwardRef):
        annotation = annotation.__forward_arg__
    if isinstance(annotation, str):
        namespace = vars(sys.modules[cls.__module__])
        # A class that only type checkers import: an object that may be expanded here.
        return namespace.get(annotation, getattr(stripe, annotation, StripeObject))
    return annotation
