"""Coupons, promotion codes, and the discounts that come of them."""

from typing import Any

Json = dict[str, Any]


def coupon(coupon_id: str, *, created: int, fields: Json) -> Json:
    """A `coupon`. `fields`: the checked parameters of its creation."""
    return {
        "id": coupon_id,
        "object": "coupon",
        "amount_off": fields.get("amount_off"),
        "created": created,
        "currency": fields.get("currency"),
        "duration": fields.get("duration", "once"),
        "duration_in_months": fields.get("duration_in_months"),
        "livemode": False,
        "max_redemptions": fields.get("max_redemptions"),
        "metadata": fields.get("metadata") or {},
        "name": fields.get("name"),
        "percent_off": fields.get("percent_off"),
        "redeem_by": fields.get("redeem_by"),
        "times_redeemed": 0,
        "valid": True,
    }


def promotion_code(code_id: str, *, code: str, coupon: str, created: int, fields: Json) -> Json:
    """A `promotion_code`: what a payer types to have a coupon."""
    restrictions = fields.get("restrictions") or {}
    return {
        "id": code_id,
        "object": "promotion_code",
        "active": fields.get("active", True),
        "code": code,
        "created": created,
        "customer": fields.get("customer"),
        "customer_account": None,
        "expires_at": fields.get("expires_at"),
        "livemode": False,
        "max_redemptions": fields.get("max_redemptions"),
        "metadata": fields.get("metadata") or {},
        "promotion": {"coupon": coupon, "type": "coupon"},
        "restrictions": {
            "first_time_transaction": restrictions.get("first_time_transaction", False),
            "minimum_amount": restrictions.get("minimum_amount"),
            "minimum_amount_currency": restrictions.get("minimum_amount_currency"),
        },
        "times_redeemed": 0,
    }


def discount(
    discount_id: str,
    *,
    coupon: str,
    promotion_code: str | None,
    start: int,
    end: int | None,
    **of: str | None,
) -> Json:
    """A `discount`. `of`: checkout_session, customer, invoice, subscription."""
    return {
        "id": discount_id,
        "object": "discount",
        "checkout_session": of.get("checkout_session"),
        "customer": of.get("customer"),
        "customer_account": None,
        "end": end,
        "invoice": of.get("invoice"),
        "invoice_item": None,
        "promotion_code": promotion_code,
        "source": {"coupon": coupon, "type": "coupon"},
        "start": start,
        "subscription": of.get("subscription"),
        "subscription_item": None,
    }
