"""What time does to subscriptions: renewals, trials that end, retries, ends that were asked for."""

from infra.local.stripe_local import clockwork
from infra.local.stripe_local.account import Account, Json
from infra.local.stripe_local.events import changed, emit
from infra.local.stripe_local.flows import invoices, payments, subscriptions
from infra.local.stripe_local.flows.subscriptions import ENDED

FINALIZE_S = 3600
"""How long the invoice of a renewal stays a draft, as at Stripe."""


def renew(account: Account, arguments: Json) -> None:
    """Job: a period ends. The next begins with a draft invoice, or the subscription ends."""
    subscription = account.get("subscription", arguments["id"])
    end = subscriptions.end_of(subscription)
    if end != arguments["at"] or subscription["status"] in {*ENDED, "paused", "incomplete"}:
        return
    if subscription["cancel_at_period_end"]:
        subscriptions.end(account, subscription, reason="cancellation_requested")
        return
    before = account.snapshot(subscription)
    if subscription["status"] == "trialing" and not _begin_to_pay(account, subscription):
        return
    for item in subscription["items"]["data"]:
        item |= {
            "current_period_start": end,
            "current_period_end": subscriptions.next_end(
                end, item["price"], subscription["billing_cycle_anchor"]
            ),
        }
    invoice = subscriptions.draft_invoice(account, subscription, "subscription_cycle")
    invoice |= {"period_start": _start(before), "period_end": end}
    # A subscription that is unpaid, or whose collection is paused, gathers drafts.
    waits = subscription["status"] == "unpaid" or _pause(subscription) == "keep_as_draft"
    if waits:
        invoice["auto_advance"] = False
    else:
        at = account.now() + FINALIZE_S
        invoice["automatically_finalizes_at"] = at
        clockwork.schedule(account, at, "invoice.finalize", id=invoice["id"])
    emit(account, "invoice.created", invoice)
    emit(
        account,
        "customer.subscription.updated",
        subscription,
        previous=changed(before, subscription),
    )
    subscriptions.schedule_renewal(account, subscription)


def _start(subscription: Json) -> int:
    return min(int(item["current_period_start"]) for item in subscription["items"]["data"])


def _pause(subscription: Json) -> str | None:
    return (subscription["pause_collection"] or {}).get("behavior")


def _begin_to_pay(account: Account, subscription: Json) -> bool:
    """A trial ends. Say whether it goes on, for without a payment method it may end or pause."""
    behavior = subscription["trial_settings"]["end_behavior"]["missing_payment_method"]
    if subscriptions.method_of(account, subscription) is None:
        if behavior == "cancel":
            subscriptions.end(account, subscription, reason="cancellation_requested")
            return False
        if behavior == "pause":
            previous = {"status": "trialing"}
            subscription["status"] = "paused"
            emit(account, "customer.subscription.paused", subscription)
            emit(account, "customer.subscription.updated", subscription, previous=previous)
            return False
    subscription["status"] = "active"
    return True


def resume(account: Account, subscription: Json) -> Json:
    """Begin a new period now for one that is paused, and charge it."""
    now = account.now()
    before = account.snapshot(subscription)
    for item in subscription["items"]["data"]:
        item |= {
            "current_period_start": now,
            "current_period_end": subscriptions.next_end(now, item["price"], now),
        }
    subscription |= {"billing_cycle_anchor": now, "status": "active"}
    invoice = subscriptions.draft_invoice(account, subscription, "subscription_update")
    emit(account, "invoice.created", invoice)
    emit(account, "customer.subscription.resumed", subscription)
    emit(
        account,
        "customer.subscription.updated",
        subscription,
        previous=changed(before, subscription),
    )
    subscriptions.schedule_renewal(account, subscription)
    finalize_and_collect(account, invoice)
    return subscription


def finalize_and_collect(account: Account, invoice: Json, *, off_session: bool = True) -> str:
    """Finalize a draft and charge it; return what `invoices.collect` says."""
    invoices.finalize(account, invoice)
    return collect(account, invoice, off_session=off_session)


def collect(
    account: Account, invoice: Json, *, off_session: bool = True, method: Json | None = None
) -> str:
    """Charge an open invoice by its subscription's method; the subscription follows."""
    subscription = subscriptions.subscription_of(account, invoice)
    if method is None and subscription is not None:
        method = subscriptions.method_of(account, subscription)
    outcome = invoices.collect(account, invoice, method, off_session=off_session)
    subscriptions.after_payment(account, invoice, outcome)
    return outcome


def finalize(account: Account, arguments: Json) -> None:
    """Job: the draft of a renewal becomes an invoice, and is charged."""
    invoice = account.get("invoice", arguments["id"])
    subscription = subscriptions.subscription_of(account, invoice)
    if invoice["status"] != "draft" or subscription is None:
        return
    if subscription["status"] in ENDED:
        invoice["auto_advance"] = False
        emit(account, "invoice.updated", invoice, previous={"auto_advance": True})
        return
    pause = _pause(subscription)
    if pause == "void":
        invoices.finalize(account, invoice)
        invoices.void(account, invoice)
    elif pause == "mark_uncollectible":
        invoices.finalize(account, invoice)
        invoices.give_up(account, invoice)
    else:
        finalize_and_collect(account, invoice)


def retry(account: Account, arguments: Json) -> None:
    """Job: a renewal that failed is tried again, unless that happened meanwhile."""
    invoice = account.get("invoice", arguments["id"])
    subscription = subscriptions.subscription_of(account, invoice)
    over = subscription is None or subscription["status"] in ENDED
    if (
        invoice["status"] == "open"
        and not over
        and invoice["attempt_count"] == arguments["attempt"]
    ):
        collect(account, invoice)


def settle(account: Account, arguments: Json) -> None:
    """Job: the bank pays an invoice that is charged by a debit."""
    invoice = account.get("invoice", arguments["id"])
    intent = invoices.intent_of(account, invoice)
    if intent["status"] == "processing":
        payments.succeed(account, intent, account.get("charge", intent["latest_charge"]))
        invoices.pay(account, invoice)
        subscriptions.after_payment(account, invoice, "paid")


def end_when_due(account: Account, arguments: Json) -> None:
    """Job: a subscription reaches the `cancel_at` that was set for it."""
    subscription = account.get("subscription", arguments["id"])
    if subscription["status"] not in ENDED and subscription["cancel_at"] == arguments["at"]:
        subscriptions.end(account, subscription, reason="cancellation_requested")


def resume_collection(account: Account, arguments: Json) -> None:
    """Job: a pause of collection reaches its `resumes_at`."""
    subscription = account.get("subscription", arguments["id"])
    pause = subscription["pause_collection"]
    if pause is not None and pause["resumes_at"] == arguments["at"]:
        subscription["pause_collection"] = None
        emit(
            account,
            "customer.subscription.updated",
            subscription,
            previous={"pause_collection": pause},
        )


def trial_notice(account: Account, arguments: Json) -> None:
    """Job: a trial ends in three days."""
    subscription = account.get("subscription", arguments["id"])
    if subscription["status"] == "trialing":
        emit(account, "customer.subscription.trial_will_end", subscription)


def give_up(account: Account, arguments: Json) -> None:
    """Job: a subscription whose first invoice was not paid within 23 hours never begins."""
    subscription = account.get("subscription", arguments["id"])
    if subscription["status"] != "incomplete":
        return
    previous = {"status": "incomplete"}
    subscription |= {"ended_at": account.now(), "status": "incomplete_expired"}
    emit(account, "customer.subscription.updated", subscription, previous=previous)
    invoices.void(account, account.get("invoice", subscription["latest_invoice"]))


JOBS: dict[str, clockwork.Job] = {
    "invoice.finalize": finalize,
    "invoice.retry": retry,
    "invoice.settle": settle,
    "subscription.end": end_when_due,
    "subscription.give_up": give_up,
    "subscription.renew": renew,
    "subscription.resume_collection": resume_collection,
    "subscription.trial_notice": trial_notice,
}
