"""Refunds."""

from typing import Any

Json = dict[str, Any]


def refund(
    refund_id: str, *, charge: Json, amount: int, created: int, status: str, fields: Json
) -> Json:
    """A `refund` of a charge. `fields`: `reason` and `metadata` of its creation."""
    kind = charge["payment_method_details"]["type"]
    destination: Json = {"type": kind, kind: {}}
    if kind == "card":
        destination["card"] = {"type": "refund"}
        if status == "succeeded":
            destination["card"] |= {
                "reference_status": "pending",
                "reference_type": "acquirer_reference_number",
            }
    shown = {
        "id": refund_id,
        "object": "refund",
        "amount": amount,
        "balance_transaction": None,
        "charge": charge["id"],
        "created": created,
        "currency": charge["currency"],
        "customer": charge["customer"],
        "customer_account": None,
        "destination_details": destination,
        "metadata": fields.get("metadata") or {},
        "payment_intent": charge["payment_intent"],
        "payment_method": charge["payment_method"],
        "reason": fields.get("reason"),
        "receipt_number": None,
        "source_transfer_reversal": None,
        "status": status,
        "transfer_reversal": None,
    }
    return shown | ({"pending_reason": "processing"} if status == "pending" else {})
