"""Products, prices, and the line items that are made of them."""

from typing import Any

Json = dict[str, Any]


def product(
    product_id: str,
    *,
    name: str,
    created: int,
    active: bool = True,
    description: str | None = None,
    images: list[str] | None = None,
    metadata: dict[str, str] | None = None,
    **more: Any,
) -> Json:
    """A `product`. `more`: statement_descriptor, tax_code, unit_label, url, shippable."""
    return {
        "id": product_id,
        "object": "product",
        "active": active,
        "created": created,
        "default_price": None,
        "description": description,
        "images": images or [],
        "livemode": False,
        "marketing_features": [],
        "metadata": metadata or {},
        "name": name,
        "package_dimensions": None,
        "shippable": more.get("shippable"),
        "statement_descriptor": more.get("statement_descriptor"),
        "tax_code": more.get("tax_code"),
        "type": "service",
        "unit_label": more.get("unit_label"),
        "updated": created,
        "url": more.get("url"),
    }


def price(
    price_id: str,
    *,
    product_id: str,
    currency: str,
    unit_amount: int,
    created: int,
    active: bool = True,
    recurring: Json | None = None,
    metadata: dict[str, str] | None = None,
    **more: Any,
) -> Json:
    """A `price`. `recurring`: {interval, interval_count?}.

    `more`: lookup_key, nickname, tax_behavior.
    """
    return {
        "id": price_id,
        "object": "price",
        "active": active,
        "billing_scheme": "per_unit",
        "created": created,
        "currency": currency,
        "custom_unit_amount": None,
        "livemode": False,
        "lookup_key": more.get("lookup_key"),
        "metadata": metadata or {},
        "nickname": more.get("nickname"),
        "product": product_id,
        "recurring": recurring
        and {
            "interval": recurring["interval"],
            "interval_count": recurring.get("interval_count", 1),
            "meter": None,
            "trial_period_days": None,
            "usage_type": "licensed",
        },
        "tax_behavior": more.get("tax_behavior") or "unspecified",
        "tiers_mode": None,
        "transform_quantity": None,
        "type": "recurring" if recurring else "one_time",
        "unit_amount": unit_amount,
        "unit_amount_decimal": str(unit_amount),
    }


def plan(of: Json) -> Json:
    """The legacy `plan` that a subscription item still shows beside its recurring price."""
    return {
        "id": of["id"],
        "object": "plan",
        "active": of["active"],
        "amount": of["unit_amount"],
        "amount_decimal": of["unit_amount_decimal"],
        "billing_scheme": of["billing_scheme"],
        "created": of["created"],
        "currency": of["currency"],
        "interval": of["recurring"]["interval"],
        "interval_count": of["recurring"]["interval_count"],
        "livemode": False,
        "metadata": of["metadata"],
        "meter": None,
        "nickname": of["nickname"],
        "product": of["product"],
        "tiers_mode": None,
        "transform_usage": None,
        "trial_period_days": None,
        "usage_type": "licensed",
    }


def item(
    item_id: str,
    *,
    price: Json,
    quantity: int,
    description: str,
    metadata: dict[str, str] | None = None,
) -> Json:
    """An `item`: one line of a Checkout Session."""
    amount = price["unit_amount"] * quantity
    return {
        "id": item_id,
        "object": "item",
        "adjustable_quantity": None,
        "amount_discount": 0,
        "amount_subtotal": amount,
        "amount_tax": 0,
        "amount_total": amount,
        "currency": price["currency"],
        "description": description,
        "metadata": metadata or {},
        "price": price,
        "quantity": quantity,
    }
