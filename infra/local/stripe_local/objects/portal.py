"""Customer portal sessions."""

from typing import Any

Json = dict[str, Any]

CONFIGURATION = "bpc_1LocalStripeDefault00000"
"""The one configuration that there is: cancel at the period's end, resume, change the card."""


def portal_session(session_id: str, *, customer: str, created: int, url: str, fields: Json) -> Json:
    """A `billing_portal.session`. `fields`: the checked parameters of its creation."""
    return {
        "id": session_id,
        "object": "billing_portal.session",
        "configuration": CONFIGURATION,
        "created": created,
        "customer": customer,
        "customer_account": None,
        "flow": _flow(fields.get("flow_data")),
        "livemode": False,
        "locale": fields.get("locale"),
        "on_behalf_of": None,
        "return_url": fields.get("return_url"),
        "url": url,
    }


def _flow(data: Json | None) -> Json | None:
    if data is None:
        return None
    after = data.get("after_completion") or {"type": "portal_homepage"}
    cancel = data.get("subscription_cancel")
    return {
        "after_completion": {
            "hosted_confirmation": None,
            "redirect": after.get("redirect"),
            "type": after["type"],
        },
        "subscription_cancel": cancel
        and {"retention": None, "subscription": cancel["subscription"]},
        "subscription_update": None,
        "subscription_update_confirm": None,
        "type": data["type"],
    }
