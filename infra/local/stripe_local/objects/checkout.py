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
    url: str,
    amount: int,
    currency: str,
    method_types: list[str],
) -> Json:
    """A `checkout.session` that is open. `fields`: the checked parameters of its creation."""
    payment = fields["mode"] == "payment"
    customer = fields.get("customer")
    creation = fields.get("customer_creation") or ("if_required" if payment else "always")
    email = fields.get("customer_email")
    return {
        "id": session_id,
        "object": "checkout.session",
        "adaptive_pricing": {"enabled": False},
        "after_expiration": None,
        "allow_promotion_codes": fields.get("allow_promotion_codes"),
        "amount_subtotal": amount,
        "amount_total": amount,
        "automatic_tax": {"enabled": False, "liability": None, "provider": None, "status": None},
        "billing_address_collection": fields.get("billing_address_collection"),
        "cancel_url": fields.get("cancel_url"),
        "client_reference_id": fields.get("client_reference_id"),
        "client_secret": None,
        "collected_information": None,
        "consent": None,
        "consent_collection": None,
        "created": created,
        "currency": currency,
        "currency_conversion": None,
        "custom_fields": [],
        "custom_text": {
            "after_submit": None,
            "shipping_address": None,
            "submit": fields.get("custom_text", {}).get("submit") or None,
            "terms_of_service_acceptance": None,
        },
        "customer": customer,
        "customer_account": None,
        "customer_creation": None if customer else creation,
        "customer_details": details(email=email) if email else None,
        "customer_email": email,
        "discounts": [],
        "expires_at": expires_at,
        "integration_identifier": fields.get("integration_identifier"),
        "invoice": None,
        "invoice_creation": _no_invoice() if payment else None,
        "livemode": False,
        "locale": fields.get("locale"),
        "managed_payments": {"enabled": False},
        "metadata": fields.get("metadata") or {},
        "mode": fields["mode"],
        "origin_context": fields.get("origin_context"),
        "payment_intent": None,
        "payment_link": None,
        "payment_method_collection": "if_required" if payment else "always",
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
        "success_url": fields["success_url"],
        "total_details": {"amount_discount": 0, "amount_shipping": 0, "amount_tax": 0},
        "ui_mode": "hosted_page",
        "url": url,
        "wallet_options": None,
    }


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


def _no_invoice() -> Json:
    return {
        "enabled": False,
        "invoice_data": {
            "account_tax_ids": None,
            "custom_fields": None,
            "description": None,
            "footer": None,
            "issuer": None,
            "metadata": {},
            "rendering_options": None,
        },
    }
