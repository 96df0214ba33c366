"""Bugs between Stripe and the ledger: what is taken for an event, for a payment, for an end."""

from tests.mutants.mutant import BUS, DEATHS, FORGERIES, LIVES, WEBHOOK, Mutant

_EVENTS = "tollkeeper_core/services/stripe_events"

_GRANTED = "        self.archive.write(grant_postings(answer))\n"
_TOLD = "        self.tell(granted(answer))\n"
_VERIFY = "WebhookSignature.verify_header(body, signature, secret, _TOLERANCE_S)"

SIGNATURES = (
    Mutant(
        name="old-signature-taken",
        harm="Whoever recorded a webhook once can send it for ever.",
        file="tollkeeper_core/adapters/stripe_billing.py",
        find=_VERIFY,
        replace="WebhookSignature.verify_header(body, signature, secret, None)",
        tests=(FORGERIES,),
    ),
    Mutant(
        name="event-read-before-it-is-verified",
        harm="Anybody grants themselves credits.",
        file="tollkeeper_core/adapters/stripe_billing.py",
        find="                continue\n            event = json.loads(body)",
        replace="                pass\n            event = json.loads(body)",
        tests=(FORGERIES,),
    ),
    Mutant(
        name="ledger-asked-before-the-signature",
        harm="A flood of forgeries is a flood of requests to Redis, which somebody pays for.",
        file=f"{_EVENTS}/apply.py",
        find="        try:\n            event = self.events.open(body, signature)\n",
        replace=(
            "        self._grace_days()\n"
            "        try:\n            event = self.events.open(body, signature)\n"
        ),
        tests=(FORGERIES,),
    ),
)

PURCHASES = (
    Mutant(
        name="grant-not-archived",
        harm="Credits that were paid are gone after a rebuild.",
        file=f"{_EVENTS}/books.py",
        find=_GRANTED,
        replace="",
        tests=(WEBHOOK,),
    ),
    Mutant(
        name="replayed-grant-not-archived",
        harm="A webhook that dies between grant and record: Stripe's retry records nothing.",
        file=f"{_EVENTS}/books.py",
        find=_GRANTED,
        replace=f"        if not answer.replayed:\n    {_GRANTED}",
        tests=(DEATHS,),
    ),
    Mutant(
        name="told-before-it-is-on-record",
        harm="The owner thanks for a purchase that the books do not know.",
        file=f"{_EVENTS}/books.py",
        find=_GRANTED,
        replace=f"{_TOLD}{_GRANTED}",
        tests=(WEBHOOK,),
    ),
    Mutant(
        name="replayed-grant-not-told",
        harm="EventBridge was away for a moment: the owner never hears of the purchase.",
        file=f"{_EVENTS}/books.py",
        find=_TOLD,
        replace=f"        if not answer.replayed:\n    {_TOLD}",
        tests=(WEBHOOK,),
    ),
    Mutant(
        name="unpaid-session-granted",
        harm="A bank debit that bounces days later has bought credits.",
        file=f"{_EVENTS}/checkout.py",
        find='if text(session, "payment_status") not in _PAID:',
        replace='if not text(session, "payment_status"):',
        tests=(WEBHOOK, LIVES),
    ),
    Mutant(
        name="every-payment-a-top-up",
        harm="A pack is granted by its payment and by its session: the first says what was paid.",
        file=f"{_EVENTS}/payment_intents.py",
        find="if AUTO_TOP_UP in metadata else Effect.NOTHING",
        replace="if metadata else Effect.NOTHING",
        tests=(WEBHOOK,),
    ),
    Mutant(
        name="list-price-for-what-was-paid",
        harm="After a promotion code a full refund takes back a part of the credits.",
        file=f"{_EVENTS}/checkout.py",
        find='paid_minor = number(session, "amount_total")',
        replace="paid_minor = terms.price_minor",
        tests=(WEBHOOK,),
    ),
    Mutant(
        name="purchase-known-by-its-session",
        harm="No refund and no dispute finds its purchase: they name the payment.",
        file=f"{_EVENTS}/checkout.py",
        find='reference(session, "payment_intent") or text(session, "id")',
        replace='text(session, "id")',
        tests=(WEBHOOK, LIVES),
    ),
    Mutant(
        name="another-stages-purchase-taken",
        harm="A test purchase is credit in production.",
        file=f"{_EVENTS}/event.py",
        find="if isinstance(metadata, Mapping) and metadata.get(MARK) == stage:",
        replace="if isinstance(metadata, Mapping) and MARK in metadata:",
        tests=(WEBHOOK,),
    ),
)

PLANS = (
    Mutant(
        name="credits-for-every-invoice",
        harm="Going to and fro between two plans fills a user's credits.",
        file=f"{_EVENTS}/invoices.py",
        find='"subscription_create", "subscription_cycle"',
        replace='"subscription_create", "subscription_cycle", "subscription_update"',
        tests=(WEBHOOK,),
    ),
    Mutant(
        name="credits-for-a-trial",
        harm="A new trial with every new address is credit for nothing.",
        file=f"{_EVENTS}/invoices.py",
        find="and _amount(line) > 0",
        replace="and _amount(line) >= 0",
        tests=(WEBHOOK,),
    ),
    Mutant(
        name="unpaid-period-keeps-its-tier",
        harm="A plan whose renewal is not paid goes on for another month.",
        file=f"{_EVENTS}/subscriptions.py",
        find="until_ms = min(begins_ms + self.settings().past_due_grace_days * DAY_MS, ends_ms)",
        replace="until_ms = ends_ms",
        tests=(WEBHOOK,),
    ),
    Mutant(
        name="canceled-plan-outlives-its-period",
        harm="Who cancels keeps the tier for a day that nobody paid.",
        file=f"{_EVENTS}/subscriptions.py",
        find='            if not subscription.get("cancel_at_period_end"):\n    ',
        replace="",
        tests=(WEBHOOK,),
    ),
    Mutant(
        name="events-of-one-second-without-an-order",
        harm="A subscription that ended is back when its last update comes after its end.",
        file=f"{_EVENTS}/subscriptions.py",
        find="version=(event.created_s, rank)",
        replace="version=(event.created_s, 1)",
        tests=(WEBHOOK, LIVES),
    ),
    Mutant(
        name="refused-announcement-taken-for-told",
        harm="EventBridge refuses an entry, and nobody ever hears of it.",
        file="tollkeeper_core/adapters/event_bus.py",
        find='if answer["FailedEntryCount"] or refused:',
        replace="if False:",
        tests=(BUS,),
    ),
)

WEBHOOK_MUTANTS = (*SIGNATURES, *PURCHASES, *PLANS)
