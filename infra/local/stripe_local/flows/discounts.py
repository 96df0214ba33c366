"""Promotion codes and coupons: who may use which, and for how long."""

from infra.local.stripe_local.account import Account, Json
from infra.local.stripe_local.errors import StripeError
from infra.local.stripe_local.events import emit
from infra.local.stripe_local.flows.periods import period_end
from infra.local.stripe_local.objects import discounts

_INVALID = "This code is invalid."


def find_code(account: Account, typed: str, session: Json) -> Json:
    """Return the promotion code that a payer typed, in any case of letters.

    Raises StripeError (400) with what the page shows: unknown, over, used up, or not for this.
    """
    for code in account.each("promotion_code"):
        if code["code"].casefold() == typed.casefold() and code["active"]:
            check_code(account, code, session)
            return code
    raise StripeError(_INVALID, param="promotion_code")


def check_code(account: Account, code: Json, session: Json) -> None:
    """Raise StripeError (400) for a promotion code that this session cannot have."""
    limit = code["restrictions"]
    if not code["active"] or (code["expires_at"] and code["expires_at"] <= account.now()):
        raise StripeError("This code has expired.", param="promotion_code")
    if code["max_redemptions"] and code["times_redeemed"] >= code["max_redemptions"]:
        raise StripeError("This code has been used up.", param="promotion_code")
    if code["customer"] not in (None, session["customer"]):
        raise StripeError(_INVALID, param="promotion_code")
    least, currency = limit["minimum_amount"], limit["minimum_amount_currency"]
    if least and (currency != session["currency"] or session["amount_subtotal"] < least):
        raise StripeError("This order is too small for this code.", param="promotion_code")
    if limit["first_time_transaction"] and _has_paid(account, session["customer"]):
        raise StripeError("This code is for new customers only.", param="promotion_code")
    check_coupon(account, account.get("coupon", code["promotion"]["coupon"]), session["currency"])


def _has_paid(account: Account, customer: str | None) -> bool:
    return customer is not None and any(
        charge["customer"] == customer and charge["paid"] for charge in account.each("charge")
    )


def check_coupon(account: Account, coupon: Json, currency: str) -> None:
    """Raise StripeError (400) for a coupon that is over, used up or of another currency."""
    over = coupon["redeem_by"] is not None and coupon["redeem_by"] <= account.now()
    used_up = coupon["max_redemptions"] and coupon["times_redeemed"] >= coupon["max_redemptions"]
    if over or used_up or not coupon["valid"]:
        raise StripeError(f"Coupon {coupon['id']} is used up or has expired.", param="discounts")
    if coupon["currency"] not in (None, currency):
        raise StripeError(_INVALID, param="discounts")


def coupon_of(account: Account, session: Json) -> Json | None:
    """Return the coupon that a session has, by whichever way."""
    for discount in session["discounts"]:
        if discount["promotion_code"] is not None:
            code = account.get("promotion_code", discount["promotion_code"])
            return account.get("coupon", code["promotion"]["coupon"])
        return account.get("coupon", discount["coupon"])
    return None


def redeem(account: Account, session: Json, subscription: Json | None) -> Json | None:
    """Count the session's code as used; return its discount, which a subscription keeps."""
    coupon = coupon_of(account, session)
    if coupon is None:
        return None
    code_id = session["discounts"][0]["promotion_code"]
    for used in (coupon, account.find(code_id)):
        if used is not None:
            used["times_redeemed"] += 1
    start = account.now()
    months = coupon["duration_in_months"]
    discount = account.add(
        discounts.discount(
            account.new_id("discount"),
            coupon=coupon["id"],
            promotion_code=code_id,
            start=start,
            end=period_end(start, "month", months) if months else None,
            checkout_session=session["id"],
            customer=session["customer"],
            subscription=subscription["id"] if subscription else None,
        )
    )
    if subscription is not None:
        subscription["discounts"] = [discount["id"]]
        emit(account, "customer.discount.created", discount)
    return discount


def last_of(account: Account, session: Json) -> Json | None:
    """Return the discount that a session was completed with."""
    made = account.each("discount")
    return next((d for d in made if d["checkout_session"] == session["id"]), None)


def coupon_now(account: Account, subscription: Json) -> tuple[Json, Json] | None:
    """Return the discount that a subscription's next invoice has, and its coupon."""
    for discount_id in subscription["discounts"]:
        discount = account.get("discount", discount_id)
        if discount["end"] is None or account.now() < discount["end"]:
            return discount, account.get("coupon", discount["source"]["coupon"])
    return None


def use_once(account: Account, subscription: Json) -> None:
    """After an invoice: a coupon for one invoice is gone, and so is one whose months are over."""
    kept = []
    for discount_id in subscription["discounts"]:
        discount = account.get("discount", discount_id)
        coupon = account.get("coupon", discount["source"]["coupon"])
        over = discount["end"] is not None and discount["end"] <= account.now()
        if coupon["duration"] != "once" and not over:
            kept.append(discount_id)
    subscription["discounts"] = kept
