"""What a payer types into the Checkout page, besides the payment itself."""

from collections.abc import Mapping

from infra.local.stripe_local.account import Account, Json
from infra.local.stripe_local.errors import StripeError
from infra.local.stripe_local.flows import checkout, discounts
from infra.local.stripe_local.flows.payments import Payer
from infra.local.stripe_local.objects.checkout import details

_AMOUNT_MIN = 50


def apply_form(account: Account, session: Json, typed: Mapping[str, str]) -> None:
    """Lay quantities, country, tax id, consent and code over the session, and sum up anew.

    Raises StripeError with what the page shows, and then the session is as it was.
    """
    hidden = account.private(session["id"])
    before = account.snapshot({"items": hidden["items"], "session": session})
    try:
        _set_quantities(hidden["items"], typed)
        _set_country(session, typed)
        checkout.reckon(account, session)
        _set_code(account, session, typed)
        checkout.reckon(account, session)
        if 0 < session["amount_total"] < _AMOUNT_MIN:
            raise StripeError("The total is too small to be paid by card.")
    except StripeError:
        hidden["items"] = before["items"]
        session |= before["session"]
        raise
    if session.get("tax_id_collection") and "tax_id" in typed:
        hidden["tax_id"] = typed["tax_id"]
    asked = session["consent_collection"]
    if asked is not None:
        promotions = "opt_in" if typed.get("promotions") else "opt_out"
        hidden["consent"] = {
            "promotions": promotions if asked["promotions"] == "auto" else None,
            "terms_of_service": "accepted" if typed.get("terms") else None,
        }


def _set_quantities(items: list[Json], typed: Mapping[str, str]) -> None:
    for index, item in enumerate(items):
        wanted, bounds = typed.get(f"quantity_{index}"), item["adjustable_quantity"]
        if wanted is None or bounds is None:
            continue
        least, most = bounds["minimum"], bounds["maximum"]
        if not wanted.isdecimal() or not max(1, least) <= int(wanted) <= most:
            raise StripeError(f"The quantity must be from {max(1, least)} to {most}.")
        item["quantity"] = int(wanted)


def _set_country(session: Json, typed: Mapping[str, str]) -> None:
    country = typed.get("country")
    if country and session["automatic_tax"]["enabled"]:
        known = session["customer_details"] or {}
        session["customer_details"] = details(
            email=typed.get("email") or known.get("email"),
            name=typed.get("name") or known.get("name"),
            country=country,
        )


def _set_code(account: Account, session: Json, typed: Mapping[str, str]) -> None:
    """A code that is typed replaces another; an emptied field takes it away."""
    if not session["allow_promotion_codes"] or "promotion_code" not in typed:
        return
    session["discounts"] = []
    checkout.reckon(account, session)
    if typed["promotion_code"]:
        code = discounts.find_code(account, typed["promotion_code"], session)
        session["discounts"] = [{"coupon": None, "promotion_code": code["id"]}]


def check_payer(session: Json, payer: Payer, typed: Mapping[str, str]) -> str | None:
    """Return what the page has to say before anything can be paid, None where all is there."""
    if "@" not in payer.email or not payer.name:
        return "Please give an email address and a name."
    asked = session["consent_collection"] or {}
    if asked.get("terms_of_service") == "required" and not typed.get("terms"):
        return "Please accept the terms of service."
    return None


def typed_code(account: Account, session: Json) -> str:
    """Return the promotion code that the session has now, as it is written."""
    for discount in session["discounts"]:
        code = account.find(discount["promotion_code"])
        return str(code["code"]) if code else ""
    return ""


def country_of(session: Json) -> str:
    """Return the payer's country as far as it is known; the United States otherwise."""
    address = (session["customer_details"] or {}).get("address") or {}
    return address.get("country") or "US"


def is_embedded(session: Json) -> bool:
    """Say whether the page is shown inside of the merchant's own."""
    return bool(session["ui_mode"] == "embedded_page")


def page_path(session: Json) -> str:
    """Return where the session's page is: by its id, or by its secret where it is embedded."""
    if is_embedded(session):
        return f"/c/embed/{session['client_secret']}"
    return f"/c/pay/{session['id']}"


def done_url(session: Json) -> str:
    """Return where the payer goes when the session is complete."""
    if is_embedded(session):
        # Inside of the frame: its page tells the page around it, which goes on.
        return page_path(session)
    return str(session["success_url"]).replace("{CHECKOUT_SESSION_ID}", session["id"])
