"""Payment intents, charges and payment methods."""

from typing import Any

from infra.local.stripe_local.objects.customers import empty_address

Json = dict[str, Any]

_CARD = {"brand": "visa", "country": "US", "exp_month": 12, "exp_year": 2034, "funding": "credit"}
_FINGERPRINT = "LocalStripe00001"
_CARD_CHECKS = {
    "address_line1_check": None,
    "address_postal_code_check": None,
    "cvc_check": "pass",
}

# What Stripe's test bank accounts show, by payment method type.
_BANKS: dict[str, Json] = {
    "us_bank_account": {
        "account_holder_type": "individual",
        "account_type": "checking",
        "bank_name": "STRIPE TEST BANK",
        "fingerprint": _FINGERPRINT,
        "last4": "6789",
        "routing_number": "110000000",
    },
    "sepa_debit": {
        "bank_code": "37040044",
        "branch_code": "",
        "country": "DE",
        "fingerprint": _FINGERPRINT,
        "last4": "3000",
    },
    "bacs_debit": {"fingerprint": _FINGERPRINT, "last4": "2345", "sort_code": "108800"},
}
_BANK_METHOD_ONLY: dict[str, Json] = {
    "us_bank_account": {
        "financial_connections_account": None,
        "networks": {"preferred": "ach", "supported": ["ach"]},
        "status_details": {},
    },
    "sepa_debit": {"generated_from": {"charge": None, "setup_attempt": None}},
    "bacs_debit": {},
}
_BANK_CHARGE_ONLY: dict[str, Json] = {
    "us_bank_account": {"expected_debit_date": None, "mandate": None, "payment_reference": None},
    "sepa_debit": {"expected_debit_date": None, "mandate": None},
    "bacs_debit": {"expected_debit_date": None, "mandate": None},
}


def billing_details(*, email: str | None, name: str | None, country: str | None) -> Json:
    """`billing_details`, as a payment method and a charge show them."""
    return {
        "address": empty_address() | {"country": country},
        "email": email,
        "name": name,
        "phone": None,
        "tax_id": None,
    }


def payment_method(
    method_id: str, *, kind: str, details: Json, created: int, customer: str | None, last4: str
) -> Json:
    """A `payment_method` of `kind` card, us_bank_account, sepa_debit or bacs_debit."""
    return {
        "id": method_id,
        "object": "payment_method",
        "allow_redisplay": "limited",
        "billing_details": details,
        kind: _method_card(last4) if kind == "card" else _BANKS[kind] | _BANK_METHOD_ONLY[kind],
        "created": created,
        "customer": customer,
        "customer_account": None,
        "livemode": False,
        "metadata": {},
        "type": kind,
    }


def _method_card(last4: str) -> Json:
    return _CARD | {
        "checks": dict(_CARD_CHECKS),
        "display_brand": "visa",
        "fingerprint": _FINGERPRINT,
        "generated_from": None,
        "last4": last4,
        "networks": {"available": ["visa"], "preferred": None},
        "regulated_status": "unregulated",
        "three_d_secure_usage": {"supported": True},
        "wallet": None,
    }


def payment_intent(
    intent_id: str,
    *,
    amount: int,
    currency: str,
    created: int,
    client_secret: str,
    method_types: list[str],
    customer: str | None,
    fields: Json,
) -> Json:
    """A `payment_intent` not yet paid. `fields`: a session's `payment_intent_data`."""
    return {
        "id": intent_id,
        "object": "payment_intent",
        "amount": amount,
        "amount_capturable": 0,
        "amount_details": {"tip": {}},
        "amount_received": 0,
        "application": None,
        "application_fee_amount": None,
        "automatic_payment_methods": None,
        "canceled_at": None,
        "cancellation_reason": None,
        "capture_method": "automatic",
        "client_secret": client_secret,
        "confirmation_method": "automatic",
        "created": created,
        "currency": currency,
        "customer": customer,
        "customer_account": None,
        "description": fields.get("description"),
        "excluded_payment_method_types": None,
        "last_payment_error": None,
        "latest_charge": None,
        "livemode": False,
        "managed_payments": {"enabled": False},
        "metadata": fields.get("metadata") or {},
        "next_action": None,
        "on_behalf_of": None,
        "payment_method": None,
        "payment_method_configuration_details": None,
        "payment_method_options": {
            "card": {
                "installments": None,
                "mandate_options": None,
                "network": None,
                "request_three_d_secure": "automatic",
            }
        },
        "payment_method_types": method_types,
        "processing": None,
        "receipt_email": fields.get("receipt_email"),
        "review": None,
        "setup_future_usage": fields.get("setup_future_usage"),
        "shipping": None,
        "source": None,
        "statement_descriptor": fields.get("statement_descriptor"),
        "statement_descriptor_suffix": fields.get("statement_descriptor_suffix"),
        "status": "requires_payment_method",
        "transfer_data": None,
        "transfer_group": None,
    }


def charge(charge_id: str, *, intent: Json, method: Json, created: int, receipt_url: str) -> Json:
    """A `charge` on a payment intent, `pending` until its outcome is set."""
    return {
        "id": charge_id,
        "object": "charge",
        "amount": intent["amount"],
        "amount_captured": 0,
        "amount_refunded": 0,
        "application": None,
        "application_fee": None,
        "application_fee_amount": None,
        "balance_transaction": None,
        "billing_details": method["billing_details"],
        "calculated_statement_descriptor": "LOCAL STRIPE",
        "captured": False,
        "created": created,
        "currency": intent["currency"],
        "customer": intent["customer"],
        "description": intent["description"],
        "disputed": False,
        "failure_balance_transaction": None,
        "failure_code": None,
        "failure_message": None,
        "fraud_details": {},
        "livemode": False,
        "metadata": dict(intent["metadata"]),
        "on_behalf_of": None,
        "outcome": None,
        "paid": False,
        "payment_intent": intent["id"],
        "payment_method": method["id"],
        "payment_method_details": _charged_with(method, intent["amount"]),
        "receipt_email": intent["receipt_email"],
        "receipt_number": None,
        "receipt_url": receipt_url,
        "refunded": False,
        "review": None,
        "shipping": None,
        "source": None,
        "source_transfer": None,
        "statement_descriptor": intent["statement_descriptor"],
        "statement_descriptor_suffix": intent["statement_descriptor_suffix"],
        "status": "pending",
        "transfer_data": None,
        "transfer_group": None,
    }


def _charged_with(method: Json, amount: int) -> Json:
    kind: str = method["type"]
    if kind != "card":
        return {"type": kind, kind: _BANKS[kind] | _BANK_CHARGE_ONLY[kind]}
    card = _CARD | {
        "amount_authorized": amount,
        "authorization_code": None,
        "checks": dict(_CARD_CHECKS),
        "extended_authorization": {"status": "disabled"},
        "fingerprint": _FINGERPRINT,
        "incremental_authorization": {"status": "unavailable"},
        "installments": None,
        "last4": method["card"]["last4"],
        "mandate": None,
        "multicapture": {"status": "unavailable"},
        "network": "visa",
        "network_token": {"used": False},
        "network_transaction_id": None,
        "overcapture": {"maximum_amount_capturable": amount, "status": "unavailable"},
        "regulated_status": "unregulated",
        "three_d_secure": None,
        "transaction_link_id": None,
        "wallet": None,
    }
    return {"type": "card", "card": card}


def outcome(decline: str | None) -> Json:
    """A charge's `outcome`; `decline`: the decline code of one that failed."""
    approved = decline is None
    return {
        "advice_code": None if approved else "try_again_later",
        "network_advice_code": None,
        "network_decline_code": None if approved else "05",
        "network_status": "approved_by_network" if approved else "declined_by_network",
        "reason": decline,
        "seller_message": (
            "Payment complete." if approved else "The bank did not return any further details."
        ),
        "type": "authorized" if approved else "issuer_declined",
    }
