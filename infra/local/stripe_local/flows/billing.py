"""The life of a subscription, as far as this server simulates it: begin, change, end."""

from infra.local.stripe_local.account import Account, Cause, Json
from infra.local.stripe_local.errors import StripeError, no_such
from infra.local.stripe_local.events import changed, emit
from infra.local.stripe_local.flows.periods import period_end
from infra.local.stripe_local.objects import billing


def create_subscription(
    account: Account, *, customer: Json, method: Json, lines: list[Json], fields: Json
) -> Json:
    """Create one, `incomplete`. `lines`: a session's items; `fields`: its `subscription_data`."""
    now = account.now()
    subscription_id = account.new_id("subscription")
    items = [
        billing.subscription_item(
            account.new_id("subscription_item"),
            subscription=subscription_id,
            price=account.snapshot(line["price"]),
            quantity=line["quantity"],
            created=now,
            period_start=now,
            period_end=period_end(
                now,
                line["price"]["recurring"]["interval"],
                line["price"]["recurring"]["interval_count"],
            ),
        )
        for line in lines
        if line["price"]["recurring"]
    ]
    return account.add(
        billing.subscription(
            subscription_id,
            customer=customer["id"],
            items=items,
            currency=lines[0]["currency"],
            created=now,
            default_payment_method=method["id"],
            metadata=fields.get("metadata") or {},
            description=fields.get("description"),
        )
    )


def create_first_invoice(
    account: Account, subscription: Json, customer: Json, lines: list[Json], base_url: str
) -> Json:
    """Create the invoice that begins a subscription, finalized and open."""
    now = account.now()
    invoice_id = account.new_id("invoice")
    items = iter(subscription["items"]["data"])
    invoice_lines = []
    for line in lines:
        item = next(items) if line["price"]["recurring"] else None
        invoice_lines.append(
            billing.invoice_line(
                account.new_id("line_item"),
                invoice=invoice_id,
                subscription=subscription["id"],
                subscription_item=item["id"] if item else None,
                price=line["price"],
                quantity=line["quantity"],
                description=f"{line['quantity']} × {line['description']}",
                period_start=now,
                period_end=item["current_period_end"] if item else now,
            )
        )
    number = f"{customer['invoice_prefix']}-{customer['next_invoice_sequence']:04}"
    customer["next_invoice_sequence"] += 1
    customer["currency"] = customer["currency"] or subscription["currency"]
    invoice = account.add(
        billing.invoice(
            invoice_id,
            customer=customer,
            subscription=subscription,
            lines=invoice_lines,
            number=number,
            created=now,
            billing_reason="subscription_create",
            page_url=f"{base_url}/_local#{invoice_id}",
        )
    )
    subscription["latest_invoice"] = invoice_id
    return invoice


def attempt_invoice(account: Account, invoice: Json, intent: Json) -> None:
    """Have the intent stand for the invoice's payment."""
    invoice |= {"attempt_count": invoice["attempt_count"] + 1, "attempted": True}
    account.add(
        billing.invoice_payment(
            account.new_id("invoice_payment"),
            invoice=invoice,
            payment_intent=intent["id"],
            created=account.now(),
        )
    )


def activate(account: Account, subscription: Json) -> None:
    """The first payment went through, or is on its way: what was `incomplete` is `active`."""
    if subscription["status"] == "incomplete":
        previous = {"status": "incomplete"}
        subscription["status"] = "active"
        emit(account, "customer.subscription.updated", subscription, previous=previous)


def pay_invoice(account: Account, invoice: Json) -> None:
    """The money for the invoice came."""
    amount, now = invoice["amount_due"], account.now()
    invoice |= {"amount_paid": amount, "amount_remaining": 0, "status": "paid"}
    invoice["status_transitions"]["paid_at"] = now
    payment = _payment_of(account, invoice)
    payment |= {"amount_paid": amount, "status": "paid"}
    payment["status_transitions"]["paid_at"] = now
    emit(account, "invoice_payment.paid", payment)
    emit(account, "invoice.paid", invoice)
    emit(account, "invoice.payment_succeeded", invoice)


def fail_invoice(account: Account, invoice: Json, subscription: Json) -> None:
    """The money for the invoice did not come: it stays open, the subscription is `past_due`."""
    emit(account, "invoice.payment_failed", invoice)
    if subscription["status"] == "canceled":
        return
    previous = {"status": subscription["status"]}
    subscription["status"] = "past_due"
    emit(account, "customer.subscription.updated", subscription, previous=previous)


def _payment_of(account: Account, invoice: Json) -> Json:
    return next(p for p in account.each("invoice_payment") if p["invoice"] == invoice["id"])


def update_subscription(account: Account, subscription: Json, fields: Json, cause: Cause) -> Json:
    """Change `cancel_at_period_end`, `metadata`, `description` or `cancellation_details`."""
    before = account.snapshot(subscription)
    if subscription["status"] == "canceled" and fields.keys() - {
        "metadata",
        "cancellation_details",
    }:
        raise StripeError(
            "A canceled subscription can only update its cancellation_details and metadata."
        )
    if "metadata" in fields:
        subscription["metadata"] = merge_metadata(subscription["metadata"], fields["metadata"])
    if "description" in fields:
        subscription["description"] = fields["description"] or None
    if "cancellation_details" in fields:
        subscription["cancellation_details"] |= _given(fields["cancellation_details"])
    if "cancel_at_period_end" in fields:
        _cancel_at_period_end(account, subscription, on=fields["cancel_at_period_end"])
    previous = changed(before, subscription)
    if previous:
        emit(account, "customer.subscription.updated", subscription, cause=cause, previous=previous)
    return subscription


def _cancel_at_period_end(account: Account, subscription: Json, *, on: bool) -> None:
    if on == subscription["cancel_at_period_end"]:
        return
    end = max(item["current_period_end"] for item in subscription["items"]["data"])
    subscription |= {
        "cancel_at": end if on else None,
        "cancel_at_period_end": on,
        "canceled_at": account.now() if on else None,
    }
    subscription["cancellation_details"]["reason"] = "cancellation_requested" if on else None


def cancel_subscription(
    account: Account, subscription: Json, cause: Cause, details: Json | None = None
) -> Json:
    """End a subscription now. Raises StripeError (404) for one that has ended, as Stripe does."""
    if subscription["status"] == "canceled":
        raise no_such("subscription", subscription["id"], param="id", status=404)
    now = account.now()
    subscription |= {
        "cancel_at": None,
        "cancel_at_period_end": False,
        "canceled_at": subscription["canceled_at"] or now,
        "ended_at": now,
        "status": "canceled",
    }
    subscription["cancellation_details"] |= _given(details or {}) | {
        "reason": "cancellation_requested"
    }
    emit(account, "customer.subscription.deleted", subscription, cause=cause)
    return subscription


def _given(details: Json) -> Json:
    return {key: value or None for key, value in details.items()}


def merge_metadata(old: dict[str, str], new: dict[str, str] | str) -> dict[str, str]:
    """Return `old` with `new` laid over it: an empty value unsets a key, "" unsets them all."""
    if isinstance(new, str):
        return {}
    return {key: value for key, value in (old | new).items() if value != ""}
