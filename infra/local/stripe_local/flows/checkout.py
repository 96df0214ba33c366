"""What the payer's choices on the Checkout page do to a session."""

from dataclasses import asdict, replace

from infra.local.stripe_local import clockwork
from infra.local.stripe_local.account import Account, Cause, Json
from infra.local.stripe_local.errors import StripeError
from infra.local.stripe_local.events import emit
from infra.local.stripe_local.flows import cards, discounts, invoices, payments, subscriptions
from infra.local.stripe_local.flows.customers import create_customer
from infra.local.stripe_local.flows.payments import Payer
from infra.local.stripe_local.flows.totals import tax_percent, total_up
from infra.local.stripe_local.objects.checkout import details
from infra.local.stripe_local.objects.customers import empty_address
from infra.local.stripe_local.objects.invoices import invoice_line

# The delayed method that this server offers in a currency: a bank debit.
DELAYED_METHODS = {"usd": "us_bank_account", "eur": "sepa_debit", "gbp": "bacs_debit"}


def delayed_method(session: Json) -> str | None:
    """Return the bank debit that this session's page offers, if any."""
    method = DELAYED_METHODS.get(session["currency"])
    return method if method in session["payment_method_types"] else None


def needs_method(session: Json) -> bool:
    """Say whether the payer gives a card or an account: not for what is free for good."""
    return bool(
        session["amount_total"] > 0
        or (session["mode"] == "subscription" and session["payment_method_collection"] == "always")
    )


def pay(account: Account, session: Json, payer: Payer) -> str:
    """Pay by card; return `complete`, `declined`, or the address where the payer's bank asks."""
    if not needs_method(session):
        _finish(account, session, payer, None, None)
        return "complete"
    method = payments.create_method(account, "card", payer, None)
    if session["amount_total"] > 0 and payments.needs_challenge(account, method):
        account.private(session["id"])["payer"] = asdict(payer)
        intent = _intent(account, session)
        account.private(intent["id"])["session"] = session["id"]
        url = f"{account.private(session['id'])['base_url']}/c/challenge/{intent['id']}"
        payments.challenge(account, intent, method, url)
        return url
    return _pay_by(account, session, payer, method)


def resume(account: Account, session: Json, method: Json) -> str:
    """The bank knows its payer: pay; return `complete` or `declined`."""
    payer = Payer(**account.private(session["id"])["payer"])
    return _pay_by(account, session, payer, method)


def _pay_by(account: Account, session: Json, payer: Payer, method: Json) -> str:
    if payments.declines(account, method, off_session=False) is not None:
        _fail(account, session, method)
        return "declined"
    _finish(account, session, payer, method, None)
    return "complete"


def decline(account: Account, session: Json, payer: Payer) -> None:
    """The card is declined: the session stays open, and the payer may try again."""
    payer = replace(payer, card=cards.DECLINED_CARD)
    _fail(account, session, payments.create_method(account, "card", payer, None))


def _fail(account: Account, session: Json, method: Json) -> None:
    intent = _intent(account, session)
    payments.charge_card(account, intent, method, _receipt_url(account, session))


def pay_delayed(account: Account, session: Json, payer: Payer, *, succeeds: bool) -> None:
    """Pay by bank debit: `complete` but `unpaid`; the bank answers `delayed_s` seconds later."""
    kind = delayed_method(session)
    if kind is None or session["amount_total"] == 0:
        raise StripeError("This session offers no delayed payment method.")
    method = payments.create_method(account, kind, payer, None)
    _finish(account, session, payer, method, succeeds)


def _finish(
    account: Account, session: Json, payer: Payer, method: Json | None, later: bool | None
) -> None:
    """Complete the session. `later`: how the bank's answer will be, None for a payment at once."""
    buyer = _customer(account, session, payer)
    charged = session["amount_total"] > 0
    intent = _intent(account, session) if charged else None
    if method is not None and buyer is not None and (intent is None or _saves(intent)):
        payments.attach_method(account, method, buyer["id"])
        account.private(method["id"])["set_up"] = True
    charge = None
    if intent is not None and method is not None:
        intent["customer"] = buyer["id"] if buyer else None
        charge = payments.attempt(account, intent, method, _receipt_url(account, session))
    if session["mode"] == "subscription" and buyer is not None:
        _begin_subscription(account, session, buyer, method, intent)
    else:
        discounts.redeem(account, session, None)
    if intent is not None and charge is not None:
        (payments.succeed if later is None else payments.hold)(account, intent, charge)
    _complete(account, session, payer)
    if later is None:
        _settle_invoice(account, session, paid=True)
        session["payment_status"] = "paid" if charged else "no_payment_required"
        emit(account, "checkout.session.completed", session)
        return
    if session["subscription"] is not None:
        # Stripe counts a bank debit under way as good: the subscription is active from here on.
        begun = account.get("subscription", session["subscription"])
        subscriptions.set_status(account, begun, "active")
    emit(account, "checkout.session.completed", session)
    at = account.clock() + account.delayed_s
    clockwork.schedule(account, at, "checkout.settle", id=session["id"], succeeds=later)


def _saves(intent: Json) -> bool:
    return intent["setup_future_usage"] is not None


def settle(account: Account, arguments: Json) -> None:
    """Job: the bank answers for a session that was paid by a delayed method."""
    session = account.get("checkout.session", arguments["id"])
    intent = _intent(account, session)
    charge = account.get("charge", intent["latest_charge"])
    paid = bool(arguments["succeeds"])
    (payments.succeed if paid else payments.fail)(account, intent, charge)
    _settle_invoice(account, session, paid=paid)
    session["payment_status"] = "paid" if paid else "unpaid"
    outcome = "succeeded" if paid else "failed"
    emit(account, f"checkout.session.async_payment_{outcome}", session)


def expire(account: Account, session: Json, cause: Cause) -> Json:
    """End an open session unpaid. Raises StripeError (400) for one that is not open."""
    if session["status"] != "open":
        raise StripeError(
            'Only Checkout Sessions with a status in ["open"] can be expired. '
            f"This Checkout Session has a status of `{session['status']}`."
        )
    session |= {"status": "expired", "url": None}
    emit(account, "checkout.session.expired", session, cause=cause)
    return session


def expire_when_due(account: Account, arguments: Json) -> None:
    """Job: a session reaches its `expires_at`; nothing to do where it was completed before."""
    session = account.get("checkout.session", arguments["id"])
    if session["status"] == "open":
        expire(account, session, Cause())


JOBS: dict[str, clockwork.Job] = {
    "checkout.settle": settle,
    "checkout.expire": expire_when_due,
}


def reckon(account: Account, session: Json) -> None:
    """Write the sums of what the page shows now: quantities, discount, and tax by country."""
    hidden = account.private(session["id"])
    trial = _trial_end(account, hidden["subscription_data"]) is not None
    total_up(session, hidden["items"], discounts.coupon_of(account, session), trial=trial)


def _trial_end(account: Account, data: Json) -> int | None:
    if data.get("trial_end") is not None:
        return int(data["trial_end"])
    days = data.get("trial_period_days")
    return account.now() + days * invoices.DAY_S if days else None


def _begin_subscription(
    account: Account, session: Json, buyer: Json, method: Json | None, intent: Json | None
) -> None:
    hidden = account.private(session["id"])
    data = hidden["subscription_data"]
    subscription = subscriptions.create(
        account,
        customer=buyer,
        method=method,
        lines=hidden["items"],
        fields=data | {"trial_end": _trial_end(account, data)},
    )
    subscription["automatic_tax"]["enabled"] = session["automatic_tax"]["enabled"]
    session["customer"] = buyer["id"]
    discounts.redeem(account, session, subscription)
    invoice = subscriptions.draft_invoice(
        account,
        subscription,
        "subscription_create",
        extra=[line for line in hidden["items"] if not line["price"]["recurring"]],
    )
    session |= {"invoice": invoice["id"], "subscription": subscription["id"]}
    if intent is not None:
        invoices.attempt(account, invoice, intent)
        account.private(intent["id"])["invoice"] = invoice["id"]
    emit(account, "invoice.created", invoice)
    emit(account, "customer.subscription.created", subscription)
    invoices.finalize(account, invoice)


def _settle_invoice(account: Account, session: Json, *, paid: bool) -> None:
    """Have the invoice follow the payment, and the subscription its invoice."""
    if paid and session["mode"] == "payment":
        _invoice_payment(account, session)
        return
    if session["subscription"] is None:
        return
    invoice = account.get("invoice", session["invoice"])
    subscription = account.get("subscription", session["subscription"])
    if not paid:
        invoices.fail(account, invoice)
        subscriptions.set_status(account, subscription, "past_due")
        return
    if subscription["status"] == "incomplete":
        subscriptions.set_status(account, subscription, "active")
    invoices.pay(account, invoice)


def _invoice_payment(account: Account, session: Json) -> None:
    """Make out the invoice of a one-time payment, where the session asks for one."""
    asked = session["invoice_creation"]
    if not asked["enabled"] or session["customer"] is None:
        return
    now, items = account.now(), account.private(session["id"])["items"]
    lines = [
        invoice_line(
            account.new_id("line_item"),
            subscription=None,
            subscription_item=None,
            price=item["price"],
            quantity=item["quantity"],
            description=item["description"],
            period_start=now,
            period_end=now,
        )
        | {"_inclusive": item["price"]["tax_behavior"] == "inclusive"}
        for item in items
    ]
    invoice = invoices.draft(
        account,
        customer=account.get("customer", session["customer"]),
        subscription=None,
        lines=lines,
        reason="manual",
    )
    data = asked["invoice_data"]
    invoice |= {"description": data["description"], "metadata": dict(data["metadata"] or {})}
    coupon = discounts.coupon_of(account, session)
    made = discounts.last_of(account, session) if coupon else None
    invoices.reckon(invoice, discount=made, coupon=coupon, percent=tax_percent(session))
    emit(account, "invoice.created", invoice)
    invoices.finalize(account, invoice)
    if session["payment_intent"] is not None:
        intent = account.get("payment_intent", session["payment_intent"])
        invoices.attempt(account, invoice, intent)
    invoices.pay(account, invoice)
    session["invoice"] = invoice["id"]


def _complete(account: Account, session: Json, payer: Payer) -> None:
    hidden = account.private(session["id"])
    known = details(email=payer.email, name=payer.name, country=payer.country)
    if hidden.get("tax_id"):
        kind = "gb_vat" if payer.country == "GB" else "eu_vat"
        kind = "us_ein" if payer.country == "US" else kind
        known["tax_ids"] = [{"type": kind, "value": hidden["tax_id"]}]
    session |= {
        "consent": hidden.get("consent"),
        "customer_details": known,
        "status": "complete",
        "url": None,
    }
    if session["automatic_tax"]["enabled"]:
        session["automatic_tax"]["status"] = "complete"


def _intent(account: Account, session: Json) -> Json:
    """Return the session's payment intent; the first attempt to pay creates it."""
    hidden = account.private(session["id"])
    existing = account.find(hidden.get("payment_intent"))
    if existing is not None:
        existing["amount"] = session["amount_total"]
        return existing
    payment = session["mode"] == "payment"
    intent = payments.create_intent(
        account,
        amount=session["amount_total"],
        currency=session["currency"],
        method_types=list(session["payment_method_types"]),
        customer=session["customer"],
        fields=hidden["payment_intent_data"]
        if payment
        else {"description": "Subscription creation", "setup_future_usage": "off_session"},
    )
    hidden["payment_intent"] = intent["id"]
    if payment:
        session["payment_intent"] = intent["id"]
    return intent


def _customer(account: Account, session: Json, payer: Payer) -> Json | None:
    """Return the session's customer, created here where the session asks for one."""
    hidden = account.private(session["id"])
    if session["customer"] is not None:
        buyer = account.get("customer", session["customer"])
        _update_customer(account, buyer, payer, hidden.get("customer_update", {}))
        return buyer
    saves = hidden["payment_intent_data"].get("setup_future_usage")
    invoiced = (session["invoice_creation"] or {}).get("enabled")
    if session["customer_creation"] != "always" and not saves and not invoiced:
        return None
    fields: Json = {"email": payer.email, "name": payer.name}
    if session["automatic_tax"]["enabled"]:
        fields["address"] = {"country": payer.country}
    buyer = create_customer(account, fields, Cause())
    session["customer"] = buyer["id"]
    return buyer


def _update_customer(account: Account, buyer: Json, payer: Payer, asked: Json) -> None:
    before = account.snapshot(buyer)
    if asked.get("name") == "auto":
        buyer["name"] = payer.name
    if asked.get("address") == "auto":
        buyer["address"] = empty_address() | {"country": payer.country}
    previous = {name: before[name] for name in ("name", "address") if before[name] != buyer[name]}
    if previous:
        emit(account, "customer.updated", buyer, previous=previous)


def _receipt_url(account: Account, session: Json) -> str:
    base_url: str = account.private(session["id"])["base_url"]
    return f"{base_url}/_local#{session['id']}"
