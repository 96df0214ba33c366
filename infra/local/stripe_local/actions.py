"""What a developer clicks on the account page: refund, dispute, decide, cancel, send again."""

from collections.abc import Callable, Mapping

from infra.local.stripe_local import events
from infra.local.stripe_local.account import Account, Cause, Json
from infra.local.stripe_local.errors import StripeError
from infra.local.stripe_local.flows import disputes, refunds, subscriptions

Form = Mapping[str, str]
Action = Callable[[Account, Json, Form], Json]

_RESEND_MAX = 100


def run(account: Account, name: str, object_id: str, form: Form) -> Json:
    """Do `name` (`refund a charge`: "charges/refund") to an object; return what came of it.

    Raises StripeError: 404 for an unknown action or object, 400 for one that cannot be done now.
    """
    if name not in _ACTIONS:
        raise StripeError(f"There is no action {name!r}.", status=404)
    kind, act = _ACTIONS[name]
    obj = account.get(kind, object_id)
    customer = obj.get("customer")
    with account.on_clock_of(account.find(customer) if isinstance(customer, str) else None):
        return act(account, obj, form)


def _resend(account: Account, event: Json, form: Form) -> Json:
    times = form.get("times", "1")
    if not times.isdecimal() or not 1 <= int(times) <= _RESEND_MAX:
        raise StripeError(f"times must be 1 to {_RESEND_MAX}", param="times")
    queued = [d for _ in range(int(times)) for d in events.send(account, event)]
    return {"event": event["id"], "deliveries": queued}


def _refund(account: Account, charge: Json, form: Form) -> Json:
    amount = form.get("amount", "")
    if amount and not amount.isdecimal():
        raise StripeError(f"Invalid integer: {amount}", param="amount")
    return refunds.create_refund(account, charge, int(amount) if amount else None, {})


def _dispute(account: Account, charge: Json, form: Form) -> Json:
    return disputes.open_dispute(account, charge, inquiry=form.get("inquiry") == "true")


def _warn(account: Account, charge: Json, _: Form) -> Json:
    return disputes.warn(account, charge)


def _win(account: Account, dispute: Json, _: Form) -> Json:
    return disputes.decide(account, dispute, won=True)


def _lose(account: Account, dispute: Json, _: Form) -> Json:
    return disputes.decide(account, dispute, won=False)


def _cancel(account: Account, subscription: Json, _: Form) -> Json:
    return subscriptions.cancel(account, subscription, Cause())


def _fail_refund(account: Account, refund: Json, _: Form) -> Json:
    if refund["status"] == "failed":
        raise StripeError("This refund has failed already.")
    refunds.fail_refund(account, refund)
    return refund


_ACTIONS: dict[str, tuple[str, Action]] = {
    "charges/refund": ("charge", _refund),
    "charges/dispute": ("charge", _dispute),
    "charges/warn": ("charge", _warn),
    "disputes/lose": ("dispute", _lose),
    "disputes/win": ("dispute", _win),
    "events/resend": ("event", _resend),
    "refunds/fail": ("refund", _fail_refund),
    "subscriptions/cancel": ("subscription", _cancel),
}
