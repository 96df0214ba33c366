"""`expand[]`: ids become the objects they name. Source: https://docs.stripe.com/api/expanding_objects."""

from collections.abc import Callable, Iterable

from infra.local.stripe_local.account import Account, Json
from infra.local.stripe_local.errors import StripeError
from infra.local.stripe_local.objects.platform import listing

_DEPTH_MAX = 4

# By kind of object or hash: the fields that a path may pass, and what they lead to. `list:` is a
# list of that kind; `=` is there anyway: a path may go through it, and not end in it.
_FIELDS: dict[str, dict[str, str]] = {
    "balance_transaction": {"source": "charge"},
    "charge": {
        "balance_transaction": "balance_transaction",
        "customer": "customer",
        "payment_intent": "payment_intent",
        "refunds": "list:refund",
    },
    "checkout.session": {
        "customer": "customer",
        "invoice": "invoice",
        "line_items": "list:item",
        "payment_intent": "payment_intent",
        "subscription": "subscription",
    },
    "customer": {"invoice_settings": "=invoice_settings", "subscriptions": "list:subscription"},
    "dispute": {"charge": "charge", "payment_intent": "payment_intent"},
    "invoice": {
        "customer": "customer",
        "default_payment_method": "payment_method",
        "lines": "=list:line_item",
        "parent": "=parent",
        "payments": "list:invoice_payment",
    },
    "invoice_payment": {"invoice": "invoice", "payment": "=payment"},
    "invoice_settings": {"default_payment_method": "payment_method"},
    "item": {"price": "=price"},
    "line_item": {"pricing": "=pricing"},
    "parent": {"subscription_details": "=subscription_details"},
    "payment": {"payment_intent": "payment_intent"},
    "payment_intent": {
        "customer": "customer",
        "latest_charge": "charge",
        "payment_method": "payment_method",
    },
    "payment_method": {"customer": "customer"},
    "radar.early_fraud_warning": {"charge": "charge", "payment_intent": "payment_intent"},
    "refund": {
        "balance_transaction": "balance_transaction",
        "charge": "charge",
        "customer": "customer",
        "failure_balance_transaction": "balance_transaction",
        "payment_intent": "payment_intent",
        "payment_method": "payment_method",
    },
    "plan": {"product": "product"},
    "price": {"product": "product"},
    "price_details": {"price": "price"},
    "pricing": {"price_details": "=price_details"},
    "product": {"default_price": "price"},
    "subscription": {
        "customer": "customer",
        "default_payment_method": "payment_method",
        "items": "=list:subscription_item",
        "latest_invoice": "invoice",
    },
    "subscription_details": {"subscription": "subscription"},
    "subscription_item": {"plan": "=plan", "price": "=price"},
}


def check_paths(kind: str, paths: Iterable[str]) -> None:
    """Refuse a path that an answer of `kind` cannot expand, before anything is done (400)."""
    for path in paths:
        parts = path.split(".")
        if len(parts) - (parts[0] == "data") > _DEPTH_MAX:
            raise StripeError(
                f"You cannot expand more than {_DEPTH_MAX} levels of a property. Property: {path}",
                param="expand",
            )
        target = "=" + kind
        for part in parts:
            target = _step(target.removeprefix("="), part) or ""
        if not target or target.startswith("="):
            raise StripeError(f"This property cannot be expanded ({path}).", param="expand")


def _step(kind: str, part: str) -> str | None:
    if kind.startswith("list:"):
        return "=" + kind.removeprefix("list:") if part == "data" else None
    return _FIELDS.get(kind, {}).get(part)


def expand(account: Account, answer: Json, paths: Iterable[str]) -> Json:
    """Return a copy of `answer` with each checked path expanded; a null on the way stays null."""
    expanded = account.snapshot(answer)
    for path in paths:
        _expand(account, expanded, path.split("."))
    return expanded


def _expand(account: Account, node: Json, parts: list[str]) -> None:
    name, rest = parts[0], parts[1:]
    if (node.get("object"), name) == ("list", "data"):
        for element in node["data"] if rest else ():
            _expand(account, element, rest)
        return
    include = _INCLUDED.get((node.get("object", ""), name))
    if include is not None and name not in node:
        node[name] = account.snapshot(include(account, node))
    value = node.get(name)
    if isinstance(value, str) and (found := account.find(value)) is not None:
        value = node[name] = account.snapshot(found)
    if rest and isinstance(value, dict):
        _expand(account, value, rest)


def _line_items(account: Account, session: Json) -> Json:
    items: list[Json] = account.private(session["id"])["items"]
    return listing(items, url=f"/v1/checkout/sessions/{session['id']}/line_items")


def _refunds(account: Account, charge: Json) -> Json:
    of_charge = [r for r in account.each("refund") if r["charge"] == charge["id"]]
    return listing(of_charge, url=f"/v1/charges/{charge['id']}/refunds")


def _payments(account: Account, invoice: Json) -> Json:
    paid_by = [p for p in account.each("invoice_payment") if p["invoice"] == invoice["id"]]
    return listing(paid_by, url=f"/v1/invoice_payments?invoice={invoice['id']}")


def _subscriptions(account: Account, customer: Json) -> Json:
    running = [
        s
        for s in account.each("subscription")
        if s["customer"] == customer["id"] and s["status"] != "canceled"
    ]
    return listing(running, url=f"/v1/customers/{customer['id']}/subscriptions")


# Fields that an object shows only when asked for.
_INCLUDED: dict[tuple[str, str], Callable[[Account, Json], Json]] = {
    ("checkout.session", "line_items"): _line_items,
    ("charge", "refunds"): _refunds,
    ("invoice", "payments"): _payments,
    ("customer", "subscriptions"): _subscriptions,
}
