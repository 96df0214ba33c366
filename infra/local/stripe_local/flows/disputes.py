"""Disputes: opened, answered with evidence, won or lost; and the bank's early warnings.

Source: https://docs.stripe.com/testing#evidence, https://docs.stripe.com/disputes/how-disputes-work.
"""

from infra.local.stripe_local import clockwork
from infra.local.stripe_local.account import Account, Cause, Json
from infra.local.stripe_local.errors import StripeError
from infra.local.stripe_local.events import changed, emit
from infra.local.stripe_local.flows import cards
from infra.local.stripe_local.objects import balance, disputes

_UNCAUSED = Cause()
_ANSWER_WITHIN_S = 9 * 24 * 3600
_OPEN = frozenset(
    {"needs_response", "under_review", "warning_needs_response", "warning_under_review"}
)
WINNING = "winning_evidence"
LOSING = "losing_evidence"


def is_open(dispute: Json) -> bool:
    """Say whether the bank has not decided yet."""
    return dispute["status"] in _OPEN


def open_dispute(
    account: Account, charge: Json, *, reason: str = "fraudulent", inquiry: bool = False
) -> Json:
    """The payer's bank disputes what is left of a charge, and takes it unless it only inquires.

    Raises StripeError (400) for a charge that is disputed already, or has nothing left.
    """
    if not charge["paid"] or charge["refunded"] or charge["disputed"]:
        raise StripeError(f"Charge {charge['id']} cannot be disputed.")
    dispute = account.add(
        disputes.dispute(
            account.new_id("dispute"),
            charge=charge,
            reason=reason,
            inquiry=inquiry,
            created=account.now(),
            due_by=account.now() + _ANSWER_WITHIN_S,
        )
    )
    charge["disputed"] = True
    if not inquiry:
        _book(account, dispute, taken=True)
    emit(account, "charge.dispute.created", dispute)
    emit(account, "charge.updated", charge, previous={"disputed": False})
    if not inquiry:
        emit(account, "charge.dispute.funds_withdrawn", dispute)
    settle_warnings(account, charge)
    return dispute


def update_dispute(account: Account, dispute: Json, fields: Json, cause: Cause) -> Json:
    """Put evidence down, and hand it to the bank unless `submit` is false.

    Raises StripeError (400) for a dispute that is closed.
    """
    if not is_open(dispute):
        raise StripeError("This dispute is already closed and cannot be updated.")
    before = account.snapshot(dispute)
    evidence = fields.get("evidence") or {}
    dispute["evidence"] |= {name: value or None for name, value in evidence.items()}
    dispute["metadata"] = fields.get("metadata", dispute["metadata"])
    details = dispute["evidence_details"]
    details["has_evidence"] = details["has_evidence"] or bool(evidence)
    submits = fields.get("submit", True) and bool(evidence)
    if submits:
        details["submission_count"] += 1
        inquiry = dispute["status"].startswith("warning")
        dispute["status"] = "warning_under_review" if inquiry else "under_review"
    emit(
        account,
        "charge.dispute.updated",
        dispute,
        cause=cause,
        previous=changed(before, dispute),
    )
    if submits and evidence.get("uncategorized_text") in (WINNING, LOSING):
        decide(account, dispute, won=evidence["uncategorized_text"] == WINNING)
    return dispute


def decide(account: Account, dispute: Json, *, won: bool, cause: Cause = _UNCAUSED) -> Json:
    """The bank decides: money that was taken comes back, or stays away.

    An inquiry that is lost becomes a dispute like any other, as Stripe has it; one that is won ends
    as `warning_closed`. Raises StripeError (400) where it was decided before.
    """
    if not is_open(dispute):
        raise StripeError("This dispute is already closed.")
    inquiry = dispute["status"].startswith("warning")
    if inquiry and not won:
        return _escalate(account, dispute)
    dispute["status"] = "warning_closed" if inquiry else "won" if won else "lost"
    if won and not inquiry:
        _book(account, dispute, taken=False)
    emit(account, "charge.dispute.closed", dispute, cause=cause)
    if won and not inquiry:
        emit(account, "charge.dispute.funds_reinstated", dispute)
    return dispute


def _escalate(account: Account, dispute: Json) -> Json:
    """The bank takes what was not refunded while it inquired."""
    before = account.snapshot(dispute)
    charge = account.get("charge", dispute["charge"])
    left = charge["amount"] - charge["amount_refunded"]
    dispute |= {
        "amount": min(dispute["amount"], left),
        "is_charge_refundable": False,
        "status": "needs_response",
    }
    dispute["payment_method_details"]["card"]["case_type"] = "chargeback"
    _book(account, dispute, taken=True)
    emit(account, "charge.dispute.updated", dispute, previous=changed(before, dispute))
    emit(account, "charge.dispute.funds_withdrawn", dispute)
    return dispute


def close(account: Account, dispute: Json, cause: Cause) -> Json:
    """The merchant gives up: the dispute is lost. Raises StripeError (400) where it is closed."""
    if not is_open(dispute):
        raise StripeError("This dispute is already closed.")
    dispute["status"] = "lost"
    emit(account, "charge.dispute.closed", dispute, cause=cause)
    return dispute


def _book(account: Account, dispute: Json, *, taken: bool) -> None:
    sign = -1 if taken else 1
    booked = account.add(
        balance.transaction(
            account,
            kind="adjustment",
            category="dispute" if taken else "dispute_reversal",
            amount=sign * dispute["amount"],
            fee=-sign * balance.DISPUTE_FEE,
            currency=dispute["currency"],
            source=dispute["id"],
            description=f"Chargeback {'withdrawal' if taken else 'reversal'} "
            f"for {dispute['charge']}",
        )
    )
    dispute["balance_transactions"].append(account.snapshot(booked))


def warn(account: Account, charge: Json) -> Json:
    """The bank tells that it expects fraud; it takes nothing yet."""
    warning = account.add(
        disputes.early_fraud_warning(
            account.new_id("radar.early_fraud_warning"), charge=charge, created=account.now()
        )
    )
    emit(account, "radar.early_fraud_warning.created", warning)
    return warning


def charge_refunded(account: Account, charge: Json) -> None:
    """All was given back: inquiries and warnings about it have nothing left to ask for."""
    for dispute in account.each("dispute"):
        inquires = is_open(dispute) and dispute["status"].startswith("warning_")
        if inquires and dispute["charge"] == charge["id"]:
            decide(account, dispute, won=True)
    settle_warnings(account, charge)


def settle_warnings(account: Account, charge: Json) -> None:
    """There is nothing left to do about its warnings: it was refunded or disputed."""
    for warning in account.each("radar.early_fraud_warning"):
        if warning["charge"] == charge["id"] and warning["actionable"]:
            warning["actionable"] = False
            previous = {"actionable": True}
            emit(account, "radar.early_fraud_warning.updated", warning, previous=previous)


def open_when_due(account: Account, arguments: Json) -> None:
    """Job: the dispute that a test card brings; none where all was refunded meanwhile."""
    charge = account.get("charge", arguments["charge"])
    if charge["refunded"] or charge["disputed"]:
        return
    card = cards.card_of(account.private(charge["payment_method"]).get("card", ""))
    open_dispute(account, charge, reason=card.dispute or "fraudulent", inquiry=card.inquiry)


def warn_when_due(account: Account, arguments: Json) -> None:
    """Job: the warning that a test card brings."""
    warn(account, account.get("charge", arguments["charge"]))


JOBS: dict[str, clockwork.Job] = {"dispute.open": open_when_due, "dispute.warn": warn_when_due}
