"""The life of a subscription: begin, change, end. Renewals are in `renewals.py`."""

from collections.abc import Sequence

from infra.local.stripe_local import clockwork
from infra.local.stripe_local.account import Account, Cause, Json
from infra.local.stripe_local.errors import no_such
from infra.local.stripe_local.events import emit
from infra.local.stripe_local.flows import discounts, invoices
from infra.local.stripe_local.flows.invoices import DAY_S
from infra.local.stripe_local.flows.periods import period_end
from infra.local.stripe_local.flows.totals import TAX_PERCENT
from infra.local.stripe_local.objects import subscriptions
from infra.local.stripe_local.objects.invoices import invoice_line, line_of_item

ENDED = frozenset({"canceled", "incomplete_expired"})
_INCOMPLETE_S = 23 * 3600
_TRIAL_NOTICE_S = 3 * DAY_S
_UNCAUSED = Cause()


def end_of(subscription: Json) -> int:
    """Return the end of the period that is paid for, Unix seconds."""
    return max(int(item["current_period_end"]) for item in subscription["items"]["data"])


def next_end(start: int, price: Json, anchor: int) -> int:
    """Return when a period of that price ends which begins at `start`.

    Counted from the anchor: a month after 28 February is 31 March for who began on the 31st.
    """
    interval, count = price["recurring"]["interval"], price["recurring"]["interval_count"]
    periods = 1
    while (end := period_end(anchor, interval, count * periods)) <= start:
        periods += 1
    return end


def create(
    account: Account, *, customer: Json, method: Json | None, lines: list[Json], fields: Json
) -> Json:
    """Create one, `incomplete` or `trialing`.

    `lines`: {price, quantity}; `fields`: `metadata`, `description`, `trial_end` (Unix seconds),
    `trial_settings`.
    """
    now = account.now()
    trial_end: int | None = fields.get("trial_end")
    subscription_id = account.new_id("subscription")
    items = [
        subscriptions.subscription_item(
            account.new_id("subscription_item"),
            subscription=subscription_id,
            price=account.snapshot(line["price"]),
            quantity=line["quantity"],
            created=now,
            period_start=now,
            period_end=trial_end or next_end(now, line["price"], now),
        )
        for line in lines
        if line["price"]["recurring"]
    ]
    subscription = account.add(
        subscriptions.subscription(
            subscription_id,
            customer=customer["id"],
            items=items,
            currency=items[0]["price"]["currency"],
            created=now,
            default_payment_method=method["id"] if method else None,
            fields=fields,
            test_clock=customer["test_clock"],
        )
    )
    if trial_end is not None:
        subscription |= {
            "billing_cycle_anchor": trial_end,
            "status": "trialing",
            "trial_end": trial_end,
            "trial_start": now,
        }
        notice = max(now, trial_end - _TRIAL_NOTICE_S)
        clockwork.schedule(account, notice, "subscription.trial_notice", id=subscription_id)
    else:
        at = now + _INCOMPLETE_S
        clockwork.schedule(account, at, "subscription.give_up", id=subscription_id)
    schedule_renewal(account, subscription)
    return subscription


def schedule_renewal(account: Account, subscription: Json) -> None:
    """Have the period end when it ends; an earlier appointment is void by its `at`."""
    at = end_of(subscription)
    clockwork.schedule(account, at, "subscription.renew", id=subscription["id"], at=at)


def draft_invoice(
    account: Account,
    subscription: Json,
    reason: str,
    *,
    whole: bool = True,
    extra: Sequence[Json] = (),
) -> Json:
    """Draft an invoice of what is pending, of one-time `extra` lines, and of the whole period."""
    customer = account.get("customer", subscription["customer"])
    trial = subscription["status"] == "trialing"
    items = subscription["items"]["data"]
    lines = [_line(account, item, trial) for item in items] if whole else []
    lines += [_one_time(account, line) for line in extra]
    pending = [
        item
        for item in reversed(list(account.each("invoiceitem")))
        if item["invoice"] is None
        and item["parent"]["subscription_details"]["subscription"] == subscription["id"]
    ]
    lines += [line_of_item(account.new_id("line_item"), item) for item in pending]
    invoice = invoices.draft(
        account, customer=customer, subscription=subscription, lines=lines, reason=reason
    )
    for item in pending:
        item["invoice"] = invoice["id"]
    found = discounts.coupon_now(account, subscription)
    discount, coupon = found or (None, None)
    invoices.reckon(invoice, discount=discount, coupon=coupon, percent=_tax(subscription, customer))
    if found and not trial:
        discounts.use_once(account, subscription)
    return invoice


def _line(account: Account, item: Json, trial: bool) -> Json:
    price = item["price"]
    name = account.get("product", price["product"])["name"]
    line = invoice_line(
        account.new_id("line_item"),
        subscription=item["subscription"],
        subscription_item=item["id"],
        price=price,
        quantity=item["quantity"],
        description=f"Trial period for {name}" if trial else f"{item['quantity']} × {name}",
        period_start=item["current_period_start"],
        period_end=item["current_period_end"],
        free=trial,
    )
    return line | {"_inclusive": price["tax_behavior"] == "inclusive"}


def _one_time(account: Account, line: Json) -> Json:
    now = account.now()
    made = invoice_line(
        account.new_id("line_item"),
        subscription=None,
        subscription_item=None,
        price=line["price"],
        quantity=line["quantity"],
        description=f"{line['quantity']} × {line['description']}",
        period_start=now,
        period_end=now,
    )
    return made | {"_inclusive": line["price"]["tax_behavior"] == "inclusive"}


def _tax(subscription: Json, customer: Json) -> int:
    if not subscription["automatic_tax"]["enabled"]:
        return 0
    return TAX_PERCENT.get((customer["address"] or {}).get("country") or "", 0)


def method_of(account: Account, subscription: Json) -> Json | None:
    """Return what the subscription is paid by: its own method, or its customer's default."""
    customer = account.get("customer", subscription["customer"])
    default = customer["invoice_settings"]["default_payment_method"]
    method = account.find(subscription["default_payment_method"] or default)
    return method if method and method["customer"] == customer["id"] else None


def set_status(account: Account, subscription: Json, status: str, cause: Cause = _UNCAUSED) -> None:
    """Change the status and tell; nothing where it is that already, or has ended."""
    before = subscription["status"]
    if before == status or before in ENDED:
        return
    subscription["status"] = status
    previous = {"status": before}
    emit(account, "customer.subscription.updated", subscription, cause=cause, previous=previous)


def after_payment(account: Account, invoice: Json, outcome: str) -> None:
    """Have the subscription follow what became of its invoice's payment."""
    subscription = subscription_of(account, invoice)
    if subscription is None or subscription["status"] in ENDED:
        return
    first = invoice["billing_reason"] == "subscription_create"
    if outcome in ("paid", "processing"):
        # Stripe counts a bank debit under way as good.
        if subscription["latest_invoice"] == invoice["id"] and (
            subscription["status"] not in ("trialing", "paused")
        ):
            set_status(account, subscription, "active")
    elif outcome == "failed" and not (first and subscription["status"] == "incomplete"):
        if invoice["next_payment_attempt"] is not None or first:
            set_status(account, subscription, "past_due")
        else:
            _after_retries(account, subscription)


def _after_retries(account: Account, subscription: Json) -> None:
    then = account.state.settings.get("after_retries", "canceled")
    if then == "canceled":
        end(account, subscription, reason="payment_failed")
    else:
        set_status(account, subscription, then)


def subscription_of(account: Account, invoice: Json) -> Json | None:
    """Return the subscription that an invoice is of, None for any other invoice."""
    parent = invoice["parent"]
    return account.find(parent["subscription_details"]["subscription"]) if parent else None


def cancel(account: Account, subscription: Json, cause: Cause, details: Json | None = None) -> Json:
    """End a subscription now. Raises StripeError (404) for one that has ended, as Stripe does."""
    if subscription["status"] in ENDED:
        raise no_such("subscription", subscription["id"], param="id", status=404)
    subscription["cancellation_details"] |= {k: v or None for k, v in (details or {}).items()}
    return end(account, subscription, reason="cancellation_requested", cause=cause)


def end(account: Account, subscription: Json, *, reason: str, cause: Cause = _UNCAUSED) -> Json:
    """End a subscription at this moment."""
    now = account.now()
    subscription |= {
        "cancel_at": None,
        "cancel_at_period_end": False,
        "canceled_at": subscription["canceled_at"] or now,
        "ended_at": now,
        "status": "canceled",
    }
    subscription["cancellation_details"]["reason"] = reason
    emit(account, "customer.subscription.deleted", subscription, cause=cause)
    return subscription
