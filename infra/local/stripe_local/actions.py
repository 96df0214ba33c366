"""What a developer clicks on the account page: refund, dispute, decide, cancel, send again."""

from collections.abc import Callable, Mapping

from infra.local.stripe_local import deliveries, events
from infra.local.stripe_local.account import Account, Cause, Json
from infra.local.stripe_local.chaos import set_chaos
from infra.local.stripe_local.errors import StripeError
from infra.local.stripe_local.flows import (
    cards,
    disputes,
    refunds,
    renewals,
    subscriptions,
    time_travel,
)
from infra.local.stripe_local.flows.invoices import DAY_S

Form = Mapping[str, str]
Action = Callable[[Account, Json, Form], Json]

_RESEND_MAX = 100
AFTER_RETRIES = ("canceled", "unpaid", "past_due")
"""What becomes of a subscription when the last retry of a renewal failed: the account's setting."""


def set_account(account: Account, name: str, form: Form) -> Json:
    """Do `name` (`time`, `settings`, `chaos`) to the account; raises StripeError as `run` does."""
    if name == "time":
        return _move_time(account, form)
    if name == "chaos":
        return set_chaos(account, dict(form))
    if name == "settings":
        return _set(account, form)
    raise StripeError(f"There is no action {name!r}.", status=404)


def _move_time(account: Account, form: Form) -> Json:
    try:
        days = float(form.get("days", ""))
    except ValueError:
        raise StripeError("Invalid number of days", param="days") from None
    time_travel.advance_account(account, days * DAY_S)
    return {"now": account.now()}


def _set(account: Account, form: Form) -> Json:
    then = form.get("after_retries", "")
    if then not in AFTER_RETRIES:
        raise StripeError(f"Invalid after_retries: {then}", param="after_retries")
    account.state.settings["after_retries"] = then
    return account.state.settings


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


def _roll(account: Account, endpoint: Json, form: Form) -> Json:
    seconds = form.get("overlap_s", "3600")
    if not seconds.isdecimal():
        raise StripeError(f"Invalid integer: {seconds}", param="overlap_s")
    return deliveries.roll(account, endpoint, int(seconds))


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


def _renew(account: Account, subscription: Json, _: Form) -> Json:
    return time_travel.renew(account, subscription)


def _pay(account: Account, invoice: Json, _: Form) -> Json:
    if invoice["status"] != "open":
        raise StripeError("Only an open invoice can be paid.")
    renewals.collect(account, invoice)
    return invoice


def _fail_card(account: Account, method: Json, form: Form) -> Json:
    """Have each further charge of a saved card declined; an empty `decline` mends the card."""
    decline = form.get("decline", "generic_decline")
    if decline not in cards.DECLINES and decline != "":
        raise StripeError(f"Invalid decline code: {decline}", param="decline")
    account.private(method["id"])["fails"] = decline or None
    return method


_ACTIONS: dict[str, tuple[str, Action]] = {
    "charges/refund": ("charge", _refund),
    "charges/dispute": ("charge", _dispute),
    "charges/warn": ("charge", _warn),
    "disputes/lose": ("dispute", _lose),
    "disputes/win": ("dispute", _win),
    "events/resend": ("event", _resend),
    "invoices/pay": ("invoice", _pay),
    "payment_methods/fail": ("payment_method", _fail_card),
    "refunds/fail": ("refund", _fail_refund),
    "subscriptions/cancel": ("subscription", _cancel),
    "subscriptions/renew": ("subscription", _renew),
    "webhook_endpoints/roll": ("webhook_endpoint", _roll),
}
