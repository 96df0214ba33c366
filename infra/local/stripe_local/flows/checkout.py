"""What the payer's choices on the Checkout page do to a session."""

from dataclasses import replace

from infra.local.stripe_local import clockwork
from infra.local.stripe_local.account import Account, Cause, Json
from infra.local.stripe_local.errors import StripeError
from infra.local.stripe_local.events import emit
from infra.local.stripe_local.flows import billing, payments
from infra.local.stripe_local.flows.cards import DECLINED_CARD
from infra.local.stripe_local.flows.payments import Payer
from infra.local.stripe_local.objects.checkout import details
from infra.local.stripe_local.objects.customers import customer

# The delayed method that this server offers in a currency: a bank debit.
DELAYED_METHODS = {"usd": "us_bank_account", "eur": "sepa_debit", "gbp": "bacs_debit"}


def delayed_method(session: Json) -> str | None:
    """Return the bank debit that this session's page offers, if any."""
    method = DELAYED_METHODS.get(session["currency"])
    return method if method in session["payment_method_types"] else None


def pay(account: Account, session: Json, payer: Payer) -> None:
    """Pay by card: the session is `complete` and `paid`."""
    intent, charge = _submit(account, session, payer, "card")
    payments.succeed(account, intent, charge)
    _complete(session, payer)
    _settle_subscription(account, session, paid=True)
    session["payment_status"] = "paid"
    emit(account, "checkout.session.completed", session)


def decline(account: Account, session: Json, payer: Payer) -> None:
    """The card is declined: the session stays open, and the payer may try again."""
    intent = _intent(account, session)
    method = payments.create_method(account, "card", replace(payer, card=DECLINED_CARD), None)
    payments.charge_card(account, intent, method, _receipt_url(account, session))


def pay_delayed(account: Account, session: Json, payer: Payer, *, succeeds: bool) -> None:
    """Pay by bank debit: `complete` but `unpaid`; the bank answers `delayed_s` seconds later."""
    kind = delayed_method(session)
    if kind is None:
        raise StripeError("This session offers no delayed payment method.")
    intent, charge = _submit(account, session, payer, kind)
    payments.hold(account, intent, charge)
    if session["subscription"] is not None:
        # Stripe counts a bank debit under way as good: the subscription is active from here on.
        billing.activate(account, account.get("subscription", session["subscription"]))
    _complete(session, payer)
    emit(account, "checkout.session.completed", session)
    at = account.clock() + account.delayed_s
    clockwork.schedule(account, at, "checkout.settle", id=session["id"], succeeds=succeeds)


def settle(account: Account, arguments: Json) -> None:
    """Job: the bank answers for a session that was paid by a delayed method."""
    session = account.get("checkout.session", arguments["id"])
    intent = _intent(account, session)
    charge = account.get("charge", intent["latest_charge"])
    paid = bool(arguments["succeeds"])
    (payments.succeed if paid else payments.fail)(account, intent, charge)
    _settle_subscription(account, session, paid=paid)
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


def _submit(account: Account, session: Json, payer: Payer, kind: str) -> tuple[Json, Json]:
    """Confirm the payment: customer, method, subscription and invoice exist after it."""
    buyer = _customer(account, session, payer)
    intent = _intent(account, session)
    intent["customer"] = buyer["id"] if buyer else None
    keeps = buyer is not None and intent["setup_future_usage"] is not None
    method = payments.create_method(account, kind, payer, buyer["id"] if buyer and keeps else None)
    charge = payments.attempt(account, intent, method, _receipt_url(account, session))
    if session["mode"] == "subscription" and buyer is not None:
        _begin_subscription(account, session, buyer, method, intent)
    return intent, charge


def _begin_subscription(
    account: Account, session: Json, buyer: Json, method: Json, intent: Json
) -> None:
    hidden = account.private(session["id"])
    subscription = billing.create_subscription(
        account,
        customer=buyer,
        method=method,
        lines=hidden["items"],
        fields=hidden["subscription_data"],
    )
    invoice = billing.create_first_invoice(
        account, subscription, buyer, hidden["items"], hidden["base_url"]
    )
    billing.attempt_invoice(account, invoice, intent)
    session |= {"invoice": invoice["id"], "subscription": subscription["id"]}
    emit(account, "invoice.created", invoice)
    emit(account, "customer.subscription.created", subscription)
    emit(account, "invoice.finalized", invoice)


def _settle_subscription(account: Account, session: Json, *, paid: bool) -> None:
    if session["subscription"] is None:
        return
    invoice = account.get("invoice", session["invoice"])
    subscription = account.get("subscription", session["subscription"])
    if paid:
        billing.activate(account, subscription)
        billing.pay_invoice(account, invoice)
    else:
        billing.fail_invoice(account, invoice, subscription)


def _complete(session: Json, payer: Payer) -> None:
    session |= {
        "customer_details": details(email=payer.email, name=payer.name, country=payer.country),
        "status": "complete",
        "url": None,
    }


def _intent(account: Account, session: Json) -> Json:
    """Return the session's payment intent; the first attempt to pay creates it."""
    hidden = account.private(session["id"])
    existing = account.find(hidden.get("payment_intent"))
    if existing is not None:
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
    if session["customer"] is not None:
        return account.get("customer", session["customer"])
    saves = account.private(session["id"])["payment_intent_data"].get("setup_future_usage")
    if session["customer_creation"] != "always" and not saves:
        return None
    buyer = create_customer(account, {"email": payer.email, "name": payer.name}, Cause())
    session["customer"] = buyer["id"]
    return buyer


def create_customer(account: Account, fields: Json, cause: Cause) -> Json:
    """Create a customer; `fields` by Stripe's names."""
    created = account.add(
        customer(
            account.new_id("customer"),
            created=account.now(),
            invoice_prefix=account.mint.letters(8).upper(),
            fields=fields,
        )
    )
    emit(account, "customer.created", created, cause=cause)
    return created


def _receipt_url(account: Account, session: Json) -> str:
    base_url: str = account.private(session["id"])["base_url"]
    return f"{base_url}/_local#{session['id']}"
