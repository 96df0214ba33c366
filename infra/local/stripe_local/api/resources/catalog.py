"""Products and prices."""

from stripe.params import (
    PriceCreateParams,
    PriceListParams,
    PriceRetrieveParams,
    ProductCreateParams,
    ProductListParams,
    ProductRetrieveParams,
)

from infra.local.stripe_local.account import Json
from infra.local.stripe_local.api.amounts import check_currency
from infra.local.stripe_local.api.call import Call, Route
from infra.local.stripe_local.api.lists import list_objects
from infra.local.stripe_local.errors import StripeError, missing_param, not_simulated
from infra.local.stripe_local.events import emit
from infra.local.stripe_local.objects import catalog
from infra.local.stripe_local.words import words

_PRODUCT = words(
    """
    active description images metadata name shippable statement_descriptor tax_code unit_label url
    """
)
_PRICE = words(
    """
    active currency lookup_key metadata nickname product recurring tax_behavior unit_amount
    unit_amount_decimal
    """
)
_RECURRING = frozenset({"interval", "interval_count"})
# Stripe's longest period is three years. Source: https://docs.stripe.com/api/prices/create.
_INTERVALS_MAX = {"day": 1095, "week": 156, "month": 36, "year": 3}


def create_product(call: Call, fields: Json, where: str, *, active: bool = True) -> Json:
    """Keep a new product. `where` is the parameter that holds `fields`, "" for the top level."""
    for name in fields:
        if name not in _PRODUCT and name != "id":
            raise not_simulated(_named(where, name))
    given: Json = {"active": active} | fields
    product_id = given.pop("id", None) or call.account.new_id("product")
    if call.account.find(product_id) is not None:
        raise StripeError(
            f"Product already exists: {product_id}.", code="resource_already_exists", param="id"
        )
    return call.account.add(
        catalog.product(
            product_id,
            created=call.account.now(),
            **given,
        )
    )


def create_price(call: Call, fields: Json, where: str, *, active: bool = True) -> Json:
    """Keep a new price of an existing product. `where` as for `create_product`."""
    for name in fields:
        if name not in _PRICE:
            raise not_simulated(_named(where, name))
    currency = check_currency(fields["currency"], _named(where, "currency"))
    given = {
        name: value
        for name, value in fields.items()
        if name not in ("currency", "product", "unit_amount", "unit_amount_decimal")
    }
    if "recurring" in given:
        _check_recurring(given["recurring"], _named(where, "recurring"))
    return call.account.add(
        catalog.price(
            call.account.new_id("price"),
            product_id=fields["product"],
            currency=currency,
            unit_amount=_unit_amount(fields, where),
            created=call.account.now(),
            **({"active": active} | given),
        )
    )


def _unit_amount(fields: Json, where: str) -> int:
    if "unit_amount" not in fields and "unit_amount_decimal" not in fields:
        raise missing_param(_named(where, "unit_amount"))
    amount = fields["unit_amount" if "unit_amount" in fields else "unit_amount_decimal"]
    if amount != int(amount):
        raise not_simulated(_named(where, "unit_amount_decimal") + " with a fraction")
    if amount < 0:
        raise StripeError(
            "This value must be greater than or equal to 0.",
            code="parameter_invalid_integer",
            param=_named(where, "unit_amount"),
        )
    return int(amount)


def _check_recurring(recurring: Json, where: str) -> None:
    for name in recurring:
        if name not in _RECURRING:
            raise not_simulated(_named(where, name))
    most = _INTERVALS_MAX[recurring["interval"]]
    if not 1 <= recurring.get("interval_count", 1) <= most:
        raise StripeError(
            f"The interval count must be between 1 and {most} for a {recurring['interval']}.",
            param=_named(where, "interval_count"),
        )


def _named(where: str, name: str) -> str:
    return f"{where}[{name}]" if where else name


def post_product(call: Call) -> Json:
    """POST /v1/products."""
    product = create_product(call, call.params, "")
    emit(call.account, "product.created", product, cause=call.cause)
    return product


def post_price(call: Call) -> Json:
    """POST /v1/prices."""
    fields = dict(call.params)
    if ("product" in fields) == ("product_data" in fields):
        raise missing_param("product")
    if "product" in fields:
        call.account.get("product", fields["product"], param="product", status=400)
    else:
        data = fields.pop("product_data")
        fields["product"] = create_product(call, data, "product_data")["id"]
    price = create_price(call, fields, "")
    emit(call.account, "price.created", price, cause=call.cause)
    return price


def retrieve_product(call: Call) -> Json:
    """GET /v1/products/{id}."""
    return call.account.get("product", call.id)


def retrieve_price(call: Call) -> Json:
    """GET /v1/prices/{id}."""
    return call.account.get("price", call.id, param="price")


def list_products(call: Call) -> Json:
    """GET /v1/products."""
    ids = call.params.get("ids")
    return list_objects(
        call,
        "product",
        equal=("active", "shippable", "url"),
        keep=lambda product: ids is None or product["id"] in ids,
        handled=("ids",),
    )


def list_prices(call: Call) -> Json:
    """GET /v1/prices."""
    keys = call.params.get("lookup_keys")
    return list_objects(
        call,
        "price",
        equal=("active", "currency", "product", "type"),
        keep=lambda price: keys is None or price["lookup_key"] in keys,
        handled=("lookup_keys",),
    )


ROUTES = (
    Route("POST", "/products", ProductCreateParams, post_product, "product"),
    Route("GET", "/products", ProductListParams, list_products, "list:product"),
    Route("GET", "/products/{id}", ProductRetrieveParams, retrieve_product, "product"),
    Route("POST", "/prices", PriceCreateParams, post_price, "price"),
    Route("GET", "/prices", PriceListParams, list_prices, "list:price"),
    Route("GET", "/prices/{id}", PriceRetrieveParams, retrieve_price, "price"),
)
