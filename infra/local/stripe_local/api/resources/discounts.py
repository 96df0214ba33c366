"""Coupons and promotion codes."""

from stripe.params import (
    CouponCreateParams,
    CouponDeleteParams,
    CouponListParams,
    CouponRetrieveParams,
    CouponUpdateParams,
    PromotionCodeCreateParams,
    PromotionCodeListParams,
    PromotionCodeRetrieveParams,
    PromotionCodeUpdateParams,
)

from infra.local.stripe_local.account import Json
from infra.local.stripe_local.api.amounts import check_currency
from infra.local.stripe_local.api.call import Call, Route
from infra.local.stripe_local.api.lists import list_objects
from infra.local.stripe_local.errors import StripeError, missing_param, not_simulated
from infra.local.stripe_local.events import emit
from infra.local.stripe_local.metadata import merge_metadata
from infra.local.stripe_local.objects import discounts
from infra.local.stripe_local.words import words

_COUPON = words(
    """
    amount_off currency duration duration_in_months id max_redemptions metadata name percent_off
    redeem_by
    """
)
_CODE = words("active code customer expires_at max_redemptions metadata promotion restrictions")
_RESTRICTIONS = words("first_time_transaction minimum_amount minimum_amount_currency")


def create_coupon(call: Call) -> Json:
    """POST /v1/coupons."""
    fields = dict(call.params)
    for name in fields:
        if name not in _COUPON:
            raise not_simulated(name)
    _check_coupon(fields)
    coupon_id = fields.get("id") or call.account.new_id("coupon")
    if call.account.find(coupon_id) is not None:
        raise StripeError("Coupon already exists.", code="resource_already_exists", param="id")
    coupon = call.account.add(
        discounts.coupon(coupon_id, created=call.account.now(), fields=fields)
    )
    emit(call.account, "coupon.created", coupon, cause=call.cause)
    return coupon


def _check_coupon(fields: Json) -> None:
    if ("percent_off" in fields) == ("amount_off" in fields):
        raise missing_param("percent_off")
    if "percent_off" in fields and not 0 < fields["percent_off"] <= 100:
        raise StripeError("Invalid percent_off: must be above 0, up to 100", param="percent_off")
    if "amount_off" in fields:
        if fields["amount_off"] < 1:
            raise StripeError("Invalid positive integer", param="amount_off")
        if "currency" not in fields:
            raise missing_param("currency")
        fields["currency"] = check_currency(fields["currency"], "currency")
    if (fields.get("duration") == "repeating") != ("duration_in_months" in fields):
        raise StripeError(
            "`duration_in_months` goes with the duration `repeating`, and only with it.",
            param="duration_in_months",
        )


def retrieve_coupon(call: Call) -> Json:
    """GET /v1/coupons/{id}."""
    return call.account.get("coupon", call.id, param="coupon")


def update_coupon(call: Call) -> Json:
    """POST /v1/coupons/{id}: name and metadata."""
    coupon = retrieve_coupon(call)
    for name in call.params:
        if name not in ("name", "metadata"):
            raise not_simulated(name)
    if "metadata" in call.params:
        coupon["metadata"] = merge_metadata(coupon["metadata"], call.params["metadata"])
    coupon["name"] = call.params.get("name", coupon["name"]) or None
    return coupon


def delete_coupon(call: Call) -> Json:
    """DELETE /v1/coupons/{id}: nobody can redeem it any more; who has it keeps it."""
    coupon = retrieve_coupon(call)
    coupon["valid"] = False
    for code in call.account.each("promotion_code"):
        if code["promotion"]["coupon"] == coupon["id"]:
            code["active"] = False
    emit(call.account, "coupon.deleted", coupon, cause=call.cause)
    return {"id": coupon["id"], "object": "coupon", "deleted": True}


def list_coupons(call: Call) -> Json:
    """GET /v1/coupons."""
    return list_objects(call, "coupon", keep=lambda coupon: bool(coupon["valid"]))


def create_code(call: Call) -> Json:
    """POST /v1/promotion_codes; a code is made up where none is given."""
    fields, account = call.params, call.account
    for name in fields:
        if name not in _CODE:
            raise not_simulated(name)
    for name in fields.get("restrictions", {}):
        if name not in _RESTRICTIONS:
            raise not_simulated(f"restrictions[{name}]")
    coupon_id = fields["promotion"].get("coupon")
    if not coupon_id:
        raise missing_param("promotion[coupon]")
    account.get("coupon", coupon_id, param="promotion[coupon]", status=400)
    if "customer" in fields:
        account.get("customer", fields["customer"], param="customer", status=400)
    code = fields.get("code") or account.mint.letters(8).upper()
    if any(
        each["code"].casefold() == code.casefold() and each["active"]
        for each in account.each("promotion_code")
    ):
        raise StripeError(
            f"An active promotion code with `code: {code}` already exists.", param="code"
        )
    made = account.add(
        discounts.promotion_code(
            account.new_id("promotion_code"),
            code=code,
            coupon=coupon_id,
            created=account.now(),
            fields=fields,
        )
    )
    emit(account, "promotion_code.created", made, cause=call.cause)
    return made


def retrieve_code(call: Call) -> Json:
    """GET /v1/promotion_codes/{id}."""
    return call.account.get("promotion_code", call.id, param="promotion_code")


def update_code(call: Call) -> Json:
    """POST /v1/promotion_codes/{id}: on, off, and metadata."""
    code = retrieve_code(call)
    for name in call.params:
        if name not in ("active", "metadata"):
            raise not_simulated(name)
    code["active"] = call.params.get("active", code["active"])
    if "metadata" in call.params:
        code["metadata"] = merge_metadata(code["metadata"], call.params["metadata"])
    return code


def list_codes(call: Call) -> Json:
    """GET /v1/promotion_codes."""
    coupon = call.params.get("coupon")
    return list_objects(
        call,
        "promotion_code",
        equal=("active", "code", "customer"),
        keep=lambda code: coupon is None or code["promotion"]["coupon"] == coupon,
        handled=("coupon",),
    )


ROUTES = (
    Route("POST", "/coupons", CouponCreateParams, create_coupon, "coupon"),
    Route("GET", "/coupons", CouponListParams, list_coupons, "list:coupon"),
    Route("GET", "/coupons/{id}", CouponRetrieveParams, retrieve_coupon, "coupon"),
    Route("POST", "/coupons/{id}", CouponUpdateParams, update_coupon, "coupon"),
    Route("DELETE", "/coupons/{id}", CouponDeleteParams, delete_coupon, "coupon"),
    Route("POST", "/promotion_codes", PromotionCodeCreateParams, create_code, "promotion_code"),
    Route("GET", "/promotion_codes", PromotionCodeListParams, list_codes, "list:promotion_code"),
    Route(
        "GET", "/promotion_codes/{id}", PromotionCodeRetrieveParams, retrieve_code, "promotion_code"
    ),
    Route(
        "POST", "/promotion_codes/{id}", PromotionCodeUpdateParams, update_code, "promotion_code"
    ),
)
