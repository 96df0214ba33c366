"""The life of an invoice: draft, open, then paid, void or uncollectible."""

from infra.local.stripe_local import clockwork
from infra.local.stripe_local.account import Account, Json
from infra.local.stripe_local.events import emit
from infra.local.stripe_local.flows import payments
from infra.local.stripe_local.flows.totals import discount_on, spread, tax_on
from infra.local.stripe_local.objects import invoices

DAY_S = 24 * 3600
RETRY_DAYS = (3, 5, 7)
"""After how many days a renewal that failed is tried again, and again. Stripe's default differs by
account ("smart retries"); the sum and the number are those of its usual setting."""
_RETRIED = frozenset({"subscription_cycle", "subscription_update"})


def draft(
    account: Account,
    *,
    customer: Json,
    subscription: Json | None,
    lines: list[Json],
    reason: str,
    period: tuple[int, int] | None = None,
) -> Json:
    """Create a draft of these lines; its sums are written by `reckon`."""
    now = account.now()
    invoice_id = account.new_id("invoice")
    for line in lines:
        line["invoice"] = invoice_id
    invoice = account.add(
        invoices.invoice(
            invoice_id,
            customer=customer,
            subscription=subscription,
            currency=lines[0]["currency"],
            lines=lines,
            created=now,
            billing_reason=reason,
            period=period or (now, now),
        )
    )
    if subscription is not None:
        subscription["latest_invoice"] = invoice_id
    return invoice


def reckon(
    invoice: Json, *, discount: Json | None = None, coupon: Json | None = None, percent: int = 0
) -> None:
    """Write discounts, taxes and sums into a draft. `percent`: the tax of its payer's country."""
    lines = invoice["lines"]["data"]
    bases = [max(0, line["amount"]) if line["discountable"] else 0 for line in lines]
    shares = spread(discount_on(coupon, sum(bases)), bases)
    totals: dict[bool, list[int]] = {}
    for line, share in zip(lines, shares, strict=True):
        if discount is not None and coupon is not None and line["discountable"]:
            line["discount_amounts"] = [{"amount": share, "discount": discount["id"]}]
        taxable = line["amount"] - share
        inclusive = bool(line.pop("_inclusive", False))
        tax = tax_on(taxable, percent, inclusive=inclusive)
        if percent:
            line["taxes"] = [invoices.tax(tax, taxable, inclusive=inclusive)]
            sums = totals.setdefault(inclusive, [0, 0])
            totals[inclusive] = [sums[0] + tax, sums[1] + taxable]
    off, subtotal = sum(shares), sum(line["amount"] for line in lines)
    included, added = totals.get(True, [0, 0])[0], totals.get(False, [0, 0])[0]
    total = subtotal - off + added
    invoice |= {
        "amount_due": max(0, total),
        "amount_remaining": max(0, total),
        "discounts": [discount["id"]] if discount else [],
        "subtotal": subtotal,
        "subtotal_excluding_tax": subtotal - included,
        "total": total,
        "total_discount_amounts": (
            [{"amount": off, "discount": discount["id"]}] if discount else []
        ),
        "total_excluding_tax": total - added - included,
        "total_taxes": [
            invoices.tax(amount, taxable, inclusive=inclusive)
            for inclusive, (amount, taxable) in totals.items()
        ],
    }


def finalize(account: Account, invoice: Json) -> None:
    """Give the invoice its number; the customer's credit balance pays what it can of it."""
    customer = account.get("customer", invoice["customer"])
    start: int = customer["balance"]
    due = invoice["total"] + start
    customer["balance"] = min(0, due)
    number = f"{customer['invoice_prefix']}-{customer['next_invoice_sequence']:04}"
    customer["next_invoice_sequence"] += 1
    customer["currency"] = customer["currency"] or invoice["currency"]
    now = account.now()
    invoice |= {
        "amount_due": max(0, due),
        "amount_remaining": max(0, due),
        "auto_advance": False,
        "automatically_finalizes_at": None,
        "effective_at": now,
        "ending_balance": customer["balance"],
        "hosted_invoice_url": f"{account.base_url}/_local#{invoice['id']}",
        "number": number,
        "starting_balance": start,
        "status": "open",
    }
    invoice["status_transitions"]["finalized_at"] = now
    emit(account, "invoice.finalized", invoice)


def attempt(account: Account, invoice: Json, intent: Json) -> None:
    """Have the intent stand for the invoice's payment; count the attempt."""
    invoice |= {"attempt_count": invoice["attempt_count"] + 1, "attempted": True}
    if payment_of(account, invoice) is None:
        account.add(
            invoices.invoice_payment(
                account.new_id("invoice_payment"),
                invoice=invoice,
                payment_intent=intent["id"],
                created=account.now(),
            )
        )


def payment_of(account: Account, invoice: Json) -> Json | None:
    """Return the invoice's payment, open or paid."""
    payments_of = account.each("invoice_payment")
    return next((p for p in payments_of if p["invoice"] == invoice["id"]), None)


def pay(account: Account, invoice: Json) -> None:
    """The money for the invoice came, or none was due."""
    amount, now = invoice["amount_due"], account.now()
    invoice |= {
        "amount_paid": amount,
        "amount_remaining": 0,
        "attempted": True,
        "next_payment_attempt": None,
        "status": "paid",
    }
    invoice["status_transitions"]["paid_at"] = now
    payment = payment_of(account, invoice)
    if payment is not None:
        payment |= {"amount_paid": amount, "status": "paid"}
        payment["status_transitions"]["paid_at"] = now
        emit(account, "invoice_payment.paid", payment)
    emit(account, "invoice.paid", invoice)
    emit(account, "invoice.payment_succeeded", invoice)


def fail(account: Account, invoice: Json) -> None:
    """The money did not come: the invoice stays open. A renewal is tried again some days later."""
    tried: int = invoice["attempt_count"]
    again = invoice["billing_reason"] in _RETRIED and 1 <= tried <= len(RETRY_DAYS)
    at = account.now() + RETRY_DAYS[tried - 1] * DAY_S if again else None
    invoice["next_payment_attempt"] = at
    if at is not None:
        clockwork.schedule(account, at, "invoice.retry", id=invoice["id"], attempt=tried)
    emit(account, "invoice.payment_failed", invoice)


def collect(
    account: Account, invoice: Json, method: Json | None, *, off_session: bool = True
) -> str:
    """Charge the invoice; return `paid`, `failed`, `processing` or `requires_action`."""
    if invoice["amount_due"] == 0:
        pay(account, invoice)
        return "paid"
    intent = intent_of(account, invoice)
    attempt(account, invoice, intent)
    if method is None:
        fail(account, invoice)
        return "failed"
    receipt_url = f"{account.base_url}/_local#{invoice['id']}"
    if method["type"] != "card":
        payments.hold(account, intent, payments.attempt(account, intent, method, receipt_url))
        at = account.clock() + account.delayed_s
        clockwork.schedule(account, at, "invoice.settle", id=invoice["id"])
        return "processing"
    if payments.needs_challenge(account, method) and not off_session:
        url = f"{account.base_url}/c/challenge/{intent['id']}"
        payments.challenge(account, intent, method, url)
        emit(account, "invoice.payment_action_required", invoice)
        return "requires_action"
    if payments.charge_card(account, intent, method, receipt_url, off_session=off_session):
        pay(account, invoice)
        return "paid"
    fail(account, invoice)
    if intent["last_payment_error"]["code"] == "authentication_required":
        emit(account, "invoice.payment_action_required", invoice)
    return "failed"


def intent_of(account: Account, invoice: Json) -> Json:
    """Return the payment intent of the invoice, created at its first attempt."""
    payment = payment_of(account, invoice)
    if payment is not None:
        return account.get("payment_intent", payment["payment"]["payment_intent"])
    first = invoice["billing_reason"] == "subscription_create"
    intent = payments.create_intent(
        account,
        amount=invoice["amount_due"],
        currency=invoice["currency"],
        method_types=["card"],
        customer=invoice["customer"],
        fields={
            "description": "Subscription creation" if first else "Subscription update",
            "setup_future_usage": "off_session",
        },
    )
    account.private(intent["id"])["invoice"] = invoice["id"]
    return intent


def void(account: Account, invoice: Json) -> None:
    """Nobody owes it any more."""
    invoice |= {"auto_advance": False, "next_payment_attempt": None, "status": "void"}
    invoice["status_transitions"]["voided_at"] = account.now()
    emit(account, "invoice.voided", invoice)


def give_up(account: Account, invoice: Json) -> None:
    """It is owed, and nobody expects to be paid."""
    invoice |= {"auto_advance": False, "next_payment_attempt": None, "status": "uncollectible"}
    invoice["status_transitions"]["marked_uncollectible_at"] = account.now()
    emit(account, "invoice.marked_uncollectible", invoice)
