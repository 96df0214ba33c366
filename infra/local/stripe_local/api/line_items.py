"""A session's `line_items`: prices that exist, and prices made on the spot."""

from infra.local.stripe_local.account import Json
from infra.local.stripe_local.api.call import Call
from infra.local.stripe_local.api.resources.catalog import create_price, create_product
from infra.local.stripe_local.errors import StripeError, not_simulated
from infra.local.stripe_local.objects import catalog

_HANDLED = frozenset({"price", "price_data", "quantity", "metadata", "adjustable_quantity"})

_ADJUSTABLE_MAX = 99
_QUANTITY_MAX = 999_999


def build_items(call: Call, lines: list[Json], mode: str) -> list[Json]:
    """Return a session's items, oldest first. Raises StripeError (400) in Stripe's words."""
    items = [_item(call, line, f"line_items[{index}]") for index, line in enumerate(lines)]
    currency = items[0]["currency"]
    for item in items:
        if item["currency"] != currency:
            raise StripeError(
                f"The price specified only supports `{item['currency']}`. This doesn't match the "
                f"expected currency: `{currency}`.",
                param="line_items",
            )
    _check_mode(items, mode)
    return items


def _item(call: Call, line: Json, where: str) -> Json:
    for name in line:
        if name not in _HANDLED:
            raise not_simulated(f"{where}[{name}]")
    if ("price" in line) == ("price_data" in line):
        raise StripeError(
            f"You must specify exactly one of `price` and `price_data` in `{where}`.", param=where
        )
    if "quantity" not in line:
        raise StripeError(f"Quantity is required. Add `quantity` to `{where}`", param=where)
    if line["quantity"] < 1:
        raise StripeError(
            "This value must be greater than or equal to 1.",
            code="parameter_invalid_integer",
            param=f"{where}[quantity]",
        )
    account = call.account
    if "price" in line:
        price = account.get("price", line["price"], param=f"{where}[price]", status=400)
        if not price["active"]:
            raise StripeError(
                f"The price specified is inactive. This field only accepts active prices: "
                f"`{price['id']}`.",
                param=f"{where}[price]",
            )
    else:
        price = _inline_price(call, line["price_data"], f"{where}[price_data]")
    item = catalog.item(
        account.new_id("item"),
        price=account.snapshot(price),
        quantity=line["quantity"],
        description=account.get("product", price["product"])["name"],
        metadata=line.get("metadata"),
    )
    item["adjustable_quantity"] = _adjustable(line, where)
    return item


def _adjustable(line: Json, where: str) -> Json | None:
    """Return the bounds within which the payer chooses the quantity, None where they cannot."""
    asked = line.get("adjustable_quantity", {})
    if not asked.get("enabled"):
        return None
    least, most = asked.get("minimum", 0), asked.get("maximum", _ADJUSTABLE_MAX)
    if not 0 <= least <= line["quantity"] <= most <= _QUANTITY_MAX:
        raise StripeError(
            "The quantity must be within its adjustable minimum and maximum.",
            param=f"{where}[adjustable_quantity]",
        )
    return {"enabled": True, "maximum": most, "minimum": least}


def _inline_price(call: Call, data: Json, where: str) -> Json:
    """Make the price, archived at once as Stripe does: it serves this session and no other."""
    if ("product" in data) == ("product_data" in data):
        raise StripeError(
            f"You must specify exactly one of `product` and `product_data` in `{where}`.",
            param=where,
        )
    if "product" in data:
        product = call.account.get(
            "product", data["product"], param=f"{where}[product]", status=400
        )
    else:
        product = create_product(call, data["product_data"], f"{where}[product_data]", active=False)
    fields = {k: v for k, v in data.items() if k != "product_data"} | {"product": product["id"]}
    return create_price(call, fields, where, active=False)


def _check_mode(items: list[Json], mode: str) -> None:
    recurring = [item["price"]["recurring"] for item in items if item["price"]["recurring"]]
    if mode == "payment" and recurring:
        raise StripeError(
            "You specified `payment` mode but passed a recurring price. Either switch to "
            "`subscription` mode or use only one-time prices.",
            param="mode",
        )
    if mode == "subscription" and not recurring:
        raise StripeError(
            "You must provide at least one recurring price in `subscription` mode when using "
            "prices.",
            param="line_items",
        )
    if any(
        (each["interval"], each["interval_count"])
        != (recurring[0]["interval"], recurring[0]["interval_count"])
        for each in recurring
    ):
        raise StripeError(
            "Checkout does not support multiple prices with different billing intervals.",
            param="line_items",
        )
