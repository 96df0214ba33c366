"""Checkout Sessions."""

from typing import Any

from infra.local.stripe_local.objects.customers import empty_address

Json = dict[str, Any]


def session(
    session_id: str,
    *,
    fields: Json,
    created: int,
    expires_at: int,
    url: str | None,
    client_secret: str | None,
    currency: str,
    method_types: list[str],
    customer: Json | None,
) -> Json:
    """A `checkout.session` that is open. `fields`: the checked parameters of its creation.

    Its sums are written by `flows/totals.py`. Either `url` or `client_secret` is None.
    """
    payment = fields["mode"] == "payment"
    embedded = client_secret is not None
    creation = fields.get("customer_creation") or ("if_required" if payment else "always")
    email = fields.get("customer_email")
    return {
        "id": session_id,
        "object": "checkout.session",
        "adaptive_pricing": {"enabled": False},
        "after_expiration": None,
        "allow_promotion_codes": fields.get("allow_promotion_codes"),
        "amount_subtotal": 0,
        "amount_total": 0,
        "automatic_tax": _automatic_tax(fields),
        "billing_address_collection": fields.get("billing_address_collection"),
        "cancel_url": fields.get("cancel_url"),
        "client_reference_id": fields.get("client_reference_id"),
        "client_secret": client_secret,
        "collected_information": None,
        "consent": None,
        "consent_collection": _consent_collection(fields.get("consent_collection")),
        "created": created,
        "currency": currency,
        "currency_conversion": None,
        "custom_fields": [],
        "custom_text": {
            name: fields.get("custom_text", {}).get(name) or None
            for name in (
                "after_submit",
                "shipping_address",
                "submit",
                "terms_of_service_acceptance",
            )
        },
        "customer": customer["id"] if customer else None,
        "customer_account": None,
        "customer_creation": None if customer else creation,
        "customer_details": _known(customer, email),
        "customer_email": email,
        "discounts": [],
        "expires_at": expires_at,
        "integration_identifier": fields.get("integration_identifier"),
        "invoice": None,
        "invoice_creation": _invoice_creation(fields) if payment else None,
        "livemode": False,
        "locale": fields.get("locale"),
        "managed_payments": {"enabled": False},
        "metadata": fields.get("metadata") or {},
        "mode": fields["mode"],
        "origin_context": fields.get("origin_context"),
        "payment_intent": None,
        "payment_link": None,
        "payment_method_collection": (
            "if_required" if payment else fields.get("payment_method_collection", "always")
        ),
        "payment_method_configuration_details": None,
        "payment_method_options": {"card": {"request_three_d_secure": "automatic"}},
        "payment_method_types": method_types,
        "payment_status": "unpaid",
        "permissions": None,
        "phone_number_collection": {"enabled": False},
        "recovered_from": None,
        "saved_payment_method_options": (
            {
                "allow_redisplay_filters": ["always"],
                "payment_method_remove": "disabled",
                "payment_method_save": None,
            }
            if customer or not payment
            else None
        ),
        "setup_intent": None,
        "shipping_address_collection": None,
        "shipping_cost": None,
        "shipping_options": [],
        "status": "open",
        "submit_type": fields.get("submit_type"),
        "subscription": None,
        "success_url": fields.get("success_url"),
        "total_details": {"amount_discount": 0, "amount_shipping": 0, "amount_tax": 0},
        "ui_mode": fields.get("ui_mode", "hosted_page"),
        "url": url,
        "wallet_options": None,
    } | _more(fields, embedded=embedded)


def _more(fields: Json, *, embedded: bool) -> Json:
    """Fields that a session has only where they mean something."""
    more: Json = {}
    if fields.get("tax_id_collection", {}).get("enabled"):
        required = fields["tax_id_collection"].get("required", "never")
        more["tax_id_collection"] = {"enabled": True, "required": required}
    if embedded:
        more["redirect_on_completion"] = fields.get("redirect_on_completion", "always")
        more["return_url"] = fields.get("return_url")
    return more


def _automatic_tax(fields: Json) -> Json:
    if not fields.get("automatic_tax", {}).get("enabled"):
        return {"enabled": False, "liability": None, "provider": None, "status": None}
    return {
        "enabled": True,
        "liability": {"type": "self"},
        "provider": "stripe",
        "status": "requires_location_inputs",
    }


def _consent_collection(asked: Json | None) -> Json | None:
    if asked is None:
        return None
    return {
        "payment_method_reuse_agreement": asked.get("payment_method_reuse_agreement"),
        "promotions": asked.get("promotions"),
        "terms_of_service": asked.get("terms_of_service"),
    }


def _known(customer: Json | None, email: str | None) -> Json | None:
    if customer is None:
        return details(email=email) if email else None
    country = (customer["address"] or {}).get("country")
    return details(email=customer["email"], name=customer["name"], country=country)


def details(*, email: str | None, name: str | None = None, country: str | None = None) -> Json:
    """A session's `customer_details`: what the payer typed into the page."""
    return {
        "address": empty_address() | {"country": country} if country else None,
        "business_name": None,
        "email": email,
        "individual_name": None,
        "name": name,
        "phone": None,
        "tax_exempt": "none",
        "tax_ids": [] if country else None,
    }


def _invoice_creation(fields: Json) -> Json:
    asked = fields.get("invoice_creation") or {}
    data = asked.get("invoice_data") or {}
    return {
        "enabled": bool(asked.get("enabled")),
        "invoice_data": {
            "account_tax_ids": None,
            "custom_fields": None,
            "description": data.get("description"),
            "footer": data.get("footer"),
            "issuer": None,
            "metadata": data.get("metadata") or {},
            "rendering_options": None,
        },
    }
