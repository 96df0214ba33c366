"""What the pages say. No AI spend: prices, percentages, and credits in what was paid."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from tollkeeper_core.domain.config import Config, Pack, Plan
from tollkeeper_core.domain.money import format_minor, minor_digits
from tollkeeper_core.domain.periods import Window
from tollkeeper_core.services.upgrade import UpgradePage

_WINDOWS = {
    Window.DAILY: "Daily limit",
    Window.WEEKLY: "Weekly limit",
    Window.MONTHLY: "Monthly limit",
}
_ADJECTIVES = {Window.DAILY: "daily", Window.WEEKLY: "weekly", Window.MONTHLY: "monthly"}


def page_context(found: UpgradePage, token: str) -> dict[str, Any]:
    """What both pages need."""
    copy = found.config.settings.text
    blocked = found.claims.reason is not None
    origin = _origin(found)
    return {
        "token": token,
        "origins": json.dumps([origin] if origin else found.config.settings.allowed_origins),
        "home": origin,
        "title": copy.title if blocked else "Add credits or upgrade",
        "message": copy.upgrade_message if blocked else None,
        "windows": _windows(found),
        "credits": [balance["display"] for balance in found.usage["credits"]],
        "packs": [_pack(name, pack, found.config) for name, pack in found.packs],
        "plans": [_plan(name, plan, found) for name, plan in found.plans],
        "hard": _hard_window(found),
        "subscribed": bool(found.account.subscriptions and found.account.customer_id),
    }


def thanks(config: Config, chosen: Mapping[str, str]) -> str:
    """What a payer reads once the payment has arrived."""
    pack, plan = config.packs.get(chosen.get("pack", "")), config.plans.get(chosen.get("plan", ""))
    if pack is not None:
        return _pack_thanks(pack, config)
    if plan is not None:
        return _plan_thanks(plan)
    return "Your payment has arrived."


def _origin(found: UpgradePage) -> str | None:
    """The one origin that the page may talk to and lead back to, if it is known."""
    allowed = found.config.settings.allowed_origins
    if found.claims.origin in allowed:
        return found.claims.origin
    return allowed[0] if len(allowed) == 1 else None


def _windows(found: UpgradePage) -> list[dict[str, Any]]:
    reason = found.claims.reason
    return [
        {
            "label": _WINDOWS[Window(name)],
            "percent": window["percent"],
            "resets": _instant(window["resets_at"]),
            "stops": reason is not None and reason.window == name,
        }
        for name, window in found.usage["windows"].items()
    ]


def _instant(at: str) -> dict[str, str]:
    """For a browser to show in its own time zone; in UTC where no script runs."""
    when = datetime.fromisoformat(at).astimezone(UTC)
    return {"at": at, "utc": f"{when.day} {when:%b %Y, %H:%M} UTC"}


def _pack(name: str, pack: Pack, config: Config) -> dict[str, Any]:
    price = format_minor(pack.price_minor, config.currency_of(pack))
    valid = f", valid for {_days(pack.expires_days)}" if pack.expires_days else ", never expires"
    return {
        "kind": "pack",
        "name": name,
        "label": pack.label,
        "price": price,
        "per": "",
        "detail": f"{price} of credit{valid}",
        "thanks": _pack_thanks(pack, config),
        "max_quantity": pack.max_quantity,
        "amount": _amount(pack, config),
    }


def _amount(pack: Pack, config: Config) -> dict[str, str] | None:
    """What a payer may choose to pay, as the field shows it."""
    if pack.amount is None:
        return None
    currency = config.currency_of(pack)
    digits = minor_digits(currency)

    def plain(minor: int) -> str:
        return f"{Decimal(minor).scaleb(-digits):f}"

    return {
        "currency": currency.upper(),
        "least": plain(pack.amount.min_minor),
        "most": plain(pack.amount.max_minor),
        "usual": plain(pack.price_minor),
        "step": plain(1),
    }


def _pack_thanks(pack: Pack, config: Config) -> str:
    return f"{format_minor(pack.price_minor, config.currency_of(pack))} of credit added."


def _plan(name: str, plan: Plan, found: UpgradePage) -> dict[str, Any]:
    return {
        "kind": "plan",
        "name": name,
        "label": plan.label,
        "price": format_minor(plan.price_minor, found.config.currency_of(plan)),
        "per": f"per {plan.interval}",
        "detail": _gain(plan, found) + _extras(plan),
        "thanks": _plan_thanks(plan),
        "max_quantity": 1,
        "amount": None,
    }


def _extras(plan: Plan) -> str:
    trial = f", {_days(plan.trial_days)} free" if plan.trial_days else ""
    return (", credit included" if plan.included_credit_usd else "") + trial


def _plan_thanks(plan: Plan) -> str:
    return f"{plan.label} is active now."


def _gain(plan: Plan, found: UpgradePage) -> str:
    """How many times as much the plan allows, in the longest window that both tiers limit."""
    limits = found.config.tiers[plan.tier].limits
    for window in reversed(Window):
        if window in limits and window in found.standing.limits:
            now = found.standing.limits[window].limit_nano
            times = limits[window].limit_usd // now if now else 0
            if times >= 2:
                return f"{times}× your {_ADJECTIVES[window]} limit"
            break
    return "Higher limits"


def _hard_window(found: UpgradePage) -> str | None:
    """The window that stopped the call, where credits do not help past it."""
    reason = found.claims.reason
    for window, limit in found.standing.limits.items():
        if limit.hard and reason is not None and reason.window == window:
            return _ADJECTIVES[window]
    return None


def _days(days: int) -> str:
    years, rest = divmod(days, 365)
    if rest or not years:
        return "1 day" if days == 1 else f"{days} days"
    return "1 year" if years == 1 else f"{years} years"
