"""Customers."""

from typing import Any

Json = dict[str, Any]


def empty_address() -> Json:
    """An address of which nothing is known."""
    return dict.fromkeys(("city", "country", "line1", "line2", "postal_code", "state"))


def customer(
    customer_id: str, *, created: int, invoice_prefix: str, fields: Json | None = None
) -> Json:
    """A `customer`. `fields`: what the creation request may set, by Stripe's names."""
    given = fields or {}
    return {
        "id": customer_id,
        "object": "customer",
        "address": given.get("address") and empty_address() | given["address"],
        "balance": 0,
        "created": created,
        "currency": None,
        "default_source": None,
        "delinquent": False,
        "description": given.get("description"),
        "discount": None,
        "email": given.get("email"),
        "invoice_prefix": invoice_prefix,
        "invoice_settings": {
            "custom_fields": None,
            "default_payment_method": (given.get("invoice_settings") or {}).get(
                "default_payment_method"
            ),
            "footer": None,
            "rendering_options": None,
        },
        "livemode": False,
        "metadata": given.get("metadata") or {},
        "name": given.get("name"),
        "next_invoice_sequence": 1,
        "phone": given.get("phone"),
        "preferred_locales": given.get("preferred_locales") or [],
        "shipping": None,
        "tax_exempt": given.get("tax_exempt") or "none",
        "test_clock": given.get("test_clock"),
    }
