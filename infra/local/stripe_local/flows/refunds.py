"""Refunds: in full, in part, again; some succeed or fail only later."""

from infra.local.stripe_local import clockwork
from infra.local.stripe_local.account import Account, Cause, Json
from infra.local.stripe_local.errors import StripeError
from infra.local.stripe_local.events import changed, emit
from infra.local.stripe_local.flows.cards import card_of
from infra.local.stripe_local.flows.disputes import charge_refunded
from infra.local.stripe_local.money import show_amount
from infra.local.stripe_local.objects import balance, refunds

_UNCAUSED = Cause()


def create_refund(
    account: Account, charge: Json, amount: int | None, fields: Json, cause: Cause = _UNCAUSED
) -> Json:
    """Refund `amount` minor units of a charge, or all that is left of it.

    Raises StripeError (400) for a charge that has nothing, or less, to give back.
    """
    _check_disputes(account, charge)
    taken = _amount(charge, amount)
    fate = _fate(account, charge)
    refund = account.add(
        refunds.refund(
            account.new_id("refund"),
            charge=charge,
            amount=taken,
            created=account.now(),
            status="pending" if fate == "pending" else "succeeded",
            fields=fields,
        )
    )
    card = charge["payment_method_details"]["type"] == "card"
    kind = "refund" if card else "payment_refund"
    refund["balance_transaction"] = _book(account, refund, -taken, kind, "refund")
    before = account.snapshot(charge)
    _sum_up(charge, taken)
    emit(account, "refund.created", refund, cause=cause)
    emit(account, "charge.refunded", charge, cause=cause, previous=changed(before, charge))
    if charge["refunded"]:
        charge_refunded(account, charge)
    if fate != "succeeds":
        at = account.clock() + account.delayed_s
        clockwork.schedule(account, at, "refund.settle", id=refund["id"], fails=fate == "fails")
    return refund


def _check_disputes(account: Account, charge: Json) -> None:
    for dispute in account.each("dispute"):
        if dispute["charge"] == charge["id"] and not dispute["is_charge_refundable"]:
            raise StripeError(
                f"Charge {charge['id']} has been charged back; cannot issue a refund.",
                code="charge_disputed",
            )


def _amount(charge: Json, wanted: int | None) -> int:
    if not charge["paid"]:
        raise StripeError(f"Charge {charge['id']} cannot be refunded because it was not paid.")
    left: int = charge["amount_captured"] - charge["amount_refunded"]
    if left == 0:
        raise StripeError(
            f"Charge {charge['id']} has already been refunded.", code="charge_already_refunded"
        )
    amount = left if wanted is None else wanted
    if amount < 1:
        raise StripeError(
            "This value must be greater than or equal to 1.",
            code="parameter_invalid_integer",
            param="amount",
        )
    if amount > left:
        shown, most = (show_amount(n, charge["currency"]) for n in (amount, left))
        raise StripeError(
            f"Refund amount ({shown}) is greater than unrefunded amount on charge ({most})",
            param="amount",
        )
    return amount


def _fate(account: Account, charge: Json) -> str:
    if charge["payment_method_details"]["type"] != "card":
        return "pending"
    return card_of(account.private(charge["payment_method"]).get("card", "")).refund


def _sum_up(charge: Json, amount: int) -> None:
    charge["amount_refunded"] += amount
    charge["refunded"] = charge["amount_refunded"] >= charge["amount"]


def _book(account: Account, refund: Json, amount: int, kind: str, category: str) -> str:
    booked = account.add(
        balance.transaction(
            account,
            kind=kind,
            category=category,
            amount=amount,
            fee=0,
            currency=refund["currency"],
            source=refund["id"],
            description=category.replace("_", " ").upper(),
        )
    )
    booked_id: str = booked["id"]
    return booked_id


def settle(account: Account, arguments: Json) -> None:
    """Job: the bank says what became of a refund."""
    refund = account.get("refund", arguments["id"])
    if arguments["fails"]:
        fail_refund(account, refund)
    elif refund["status"] == "pending":
        before = account.snapshot(refund)
        refund["status"] = "succeeded"
        del refund["pending_reason"]
        _tell(account, refund, changed(before, refund))


def fail_refund(account: Account, refund: Json) -> None:
    """The bank returns the money of a refund: it is the merchant's again."""
    before, kind = account.snapshot(refund), "refund_failure"
    charge = account.get("charge", refund["charge"])
    charged_before = account.snapshot(charge)
    refund |= {
        "failure_balance_transaction": _book(account, refund, refund["amount"], kind, kind),
        "failure_reason": "expired_or_canceled_card",
        "status": "failed",
    }
    refund.pop("pending_reason", None)
    _sum_up(charge, -refund["amount"])
    emit(account, "refund.failed", refund)
    emit(account, "charge.updated", charge, previous=changed(charged_before, charge))
    _tell(account, refund, {"status": before["status"]})


def _tell(account: Account, refund: Json, previous: Json) -> None:
    emit(account, "refund.updated", refund, previous=previous)
    emit(account, "charge.refund.updated", refund, previous=previous)


JOBS: dict[str, clockwork.Job] = {"refund.settle": settle}
