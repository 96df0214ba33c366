"""Subscriptions and their items."""

from typing import Any

from infra.local.stripe_local.objects.catalog import plan
from infra.local.stripe_local.objects.platform import listing

Json = dict[str, Any]


def subscription(
    subscription_id: str,
    *,
    customer: str,
    items: list[Json],
    currency: str,
    created: int,
    default_payment_method: str | None,
    fields: Json,
    test_clock: str | None,
) -> Json:
    """A `subscription`, `incomplete` until its first invoice is paid.

    `fields`: `description`, `metadata` and `trial_settings` of its creation.
    """
    end_behavior = (fields.get("trial_settings") or {}).get("end_behavior") or {
        "missing_payment_method": "create_invoice"
    }
    return {
        "id": subscription_id,
        "object": "subscription",
        "application": None,
        "application_fee_percent": None,
        "automatic_tax": {"disabled_reason": None, "enabled": False, "liability": None},
        "billing_cycle_anchor": created,
        "billing_cycle_anchor_config": None,
        "billing_mode": {"flexible": {"proration_discounts": "included"}, "type": "flexible"},
        "billing_schedules": [],
        "billing_thresholds": None,
        "cancel_at": None,
        "cancel_at_period_end": False,
        "canceled_at": None,
        "cancellation_details": {"comment": None, "feedback": None, "reason": None},
        "collection_method": "charge_automatically",
        "created": created,
        "currency": currency,
        "customer": customer,
        "customer_account": None,
        "days_until_due": None,
        "default_payment_method": default_payment_method,
        "default_source": None,
        "default_tax_rates": [],
        "description": fields.get("description"),
        "discounts": [],
        "ended_at": None,
        "invoice_settings": {
            "account_tax_ids": None,
            "custom_fields": None,
            "description": None,
            "footer": None,
            "issuer": {"type": "self"},
        },
        "items": listing(items, url=f"/v1/subscription_items?subscription={subscription_id}"),
        "latest_invoice": None,
        "livemode": False,
        "managed_payments": {"enabled": False},
        "metadata": fields.get("metadata") or {},
        "next_pending_invoice_item_invoice": None,
        "on_behalf_of": None,
        "pause_collection": None,
        "payment_settings": {
            "payment_method_options": None,
            "payment_method_types": None,
            "save_default_payment_method": "off",
        },
        "pending_invoice_item_interval": None,
        "pending_setup_intent": None,
        "pending_update": None,
        "schedule": None,
        "start_date": created,
        "status": "incomplete",
        "test_clock": test_clock,
        "transfer_data": None,
        "trial_end": None,
        "trial_settings": {"end_behavior": end_behavior},
        "trial_start": None,
    }


def subscription_item(
    item_id: str,
    *,
    subscription: str,
    price: Json,
    quantity: int,
    created: int,
    period_start: int,
    period_end: int,
) -> Json:
    """A `subscription_item`: since 2025-03-31 the billing period lives here."""
    return {
        "id": item_id,
        "object": "subscription_item",
        "billing_thresholds": None,
        "created": created,
        "current_period_end": period_end,
        "current_period_start": period_start,
        "discounts": [],
        "metadata": {},
        "plan": plan(price),
        "price": price,
        "quantity": quantity,
        "subscription": subscription,
        "tax_rates": [],
    }
