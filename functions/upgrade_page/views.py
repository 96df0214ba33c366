"""What the pages say. No AI spend: prices, percentages, and credits in what was paid."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from urllib.parse import urlencode

from tollkeeper_core.domain.config import Config, Copy, Pack, Plan, Settings
from tollkeeper_core.domain.estimates import allowance, calls_for
from tollkeeper_core.domain.money import minor_digits
from tollkeeper_core.domain.periods import Window
from tollkeeper_core.services.upgrade_view import UpgradePage

from functions.upgrade_page.assets import theme_address
from functions.upgrade_page.auto_topup import auto_topup_view
from functions.upgrade_page.words import Words

#: What page.js says by itself.
_SCRIPT_TEXTS = (
    *(
        "at_time",
        "on_date",
        "your_balance",
        "balance_checked",
        "gone",
        "slow",
        "opening",
        "popup_blocked",
    ),
    *("thanks_title", "invalid_choice", "link_expired_advice", "already_paid_advice"),
    *("unknown_offer_advice", "checkout_failed_advice", "payment_refused_advice"),
    *("too_many_purchases_advice", "unavailable_advice"),
)


def frame_context(settings: Settings | None, words: Words) -> dict[str, Any]:
    """What every page needs, an error's too; without settings the page is as it comes."""
    style = settings.page if settings else None
    return {
        "words": words,
        "theme": theme_address(style) if style else None,
        "logo": style.logo if style else None,
        "logo_text": style.logo_text if style else "",
    }


def carried(words: Words, back: str) -> dict[str, str]:
    """What goes along in the address from page to page."""
    return {"lang": words.code, **({"back": back} if back else {})}


def page_context(found: UpgradePage, token: str, words: Words, back: str = "") -> dict[str, Any]:
    """What the page and the one after the payment need. ``back``: where in the app to lead to."""
    origin = _origin(found)
    title, message = _headline(found, words)
    return {
        **frame_context(found.config.settings, words),
        "token": token,
        "now_ms": found.now_ms,
        "origins": json.dumps([origin] if origin else found.config.settings.allowed_origins),
        "home": origin + back if origin else None,
        "back": back,
        "carried": urlencode(carried(words, back)),
        "script_texts": json.dumps({key: words.say(key) for key in _SCRIPT_TEXTS}),
        "title": title,
        "message": message,
        "windows": _windows(found, words),
        "credits": balances(found.usage, words),
        "checked": _checked(found, words),
        "held": _held(found, words),
        "packs": [_pack(name, pack, found, words) for name, pack in found.packs],
        "plans": [_plan(name, plan, found, words) for name, plan in found.plans_shown],
        "smaller": [_smaller(name, plan, found, words) for name, plan in found.smaller_plans],
        "change": _change(found, words),
        "hard": _hard_window(found),
        "embedded": found.config.settings.checkout.embedded_key is not None,
        "blocked": found.claims.reason is not None,
        "auto_topup": auto_topup_view(found, words),
        "subscribed": bool(found.account.subscriptions and found.account.customer_id),
    }


def thanks(config: Config, chosen: Mapping[str, str], words: Words) -> str:
    """What a payer reads once the payment has arrived."""
    pack, plan = config.packs.get(chosen.get("pack", "")), config.plans.get(chosen.get("plan", ""))
    if pack is not None:
        return _pack_thanks(pack, config, words)
    later = config.plans.get(chosen.get("later", ""))
    if plan is not None:
        return words.say("plan_active", plan=plan.label)
    if later is not None:
        return words.say("smaller_thanks", plan=later.label)
    return words.say("arrived")


def balances(usage: Mapping[str, Any], words: Words) -> str:
    """``$5.00 + 3,00 €``: currencies stay apart. Empty where there are no credits."""
    return " + ".join(
        words.money(balance["balance_minor"], balance["currency"]) for balance in usage["credits"]
    )


def checked(usage: Mapping[str, Any], words: Words) -> dict[str, str] | None:
    """What of the balance may not be used yet, and when all of it may; None where all may."""
    fresh = [balance for balance in usage["credits"] if "checking_minor" in balance]
    if not fresh:
        return None
    amounts = (words.money(each["checking_minor"], each["currency"]) for each in fresh)
    return {"amount": " + ".join(amounts), "until": max(each["checking_until"] for each in fresh)}


def _checked(found: UpgradePage, words: Words) -> dict[str, str] | None:
    told = checked(found.usage, words)
    if told is None:
        return None
    before, after = words.around("balance_checked", "when", amount=told["amount"])
    return {
        "before": before,
        "after": after,
        "at": told["until"],
        "utc": _on_date(told["until"], words),
    }


def _held(found: UpgradePage, words: Words) -> str | None:
    """What a dispute keeps; it is in no balance."""
    held = [balance for balance in found.usage["credits"] if "on_hold_minor" in balance]
    amounts = " + ".join(words.money(each["on_hold_minor"], each["currency"]) for each in held)
    return words.say("balance_held", amount=amounts) if held else None


def _headline(found: UpgradePage, words: Words) -> tuple[str, str | None]:
    """The owner's text in this language, or the owner's in any, or the page's own."""
    if found.claims.reason is None:
        return words.say("buy_title"), None
    copy, plain = found.config.settings.text, Copy()
    title = copy.title if copy.title != plain.title else words.say("title")
    message = (
        copy.upgrade_message
        if copy.upgrade_message != plain.upgrade_message
        else words.say("message")
    )
    return words.own.get("title", title), words.own.get("message", message)


def _origin(found: UpgradePage) -> str | None:
    """The one origin that the page may talk to and lead back to, if it is known."""
    allowed = found.config.settings.allowed_origins
    if found.claims.origin in allowed:
        return found.claims.origin
    return allowed[0] if len(allowed) == 1 else None


def _windows(found: UpgradePage, words: Words) -> list[dict[str, Any]]:
    reason = found.claims.reason
    return [
        {
            "label": words.say(f"{name}_limit"),
            "percent": window["percent"],
            "used": words.say("used", percent=window["percent"]),
            "at": window["resets_at"],
            "utc": _on_date(window["resets_at"], words),
            "stops": reason is not None and reason.window == name,
        }
        for name, window in found.usage["windows"].items()
    ]


def _on_date(at: str, words: Words) -> str:
    date = words.date(datetime.fromisoformat(at).astimezone(UTC))
    return words.say("on_date", date=date)


def _pack(name: str, pack: Pack, found: UpgradePage, words: Words) -> dict[str, Any]:
    config = found.config
    price = words.money(pack.price_minor, config.currency_of(pack))
    detail = (
        words.say("pack_valid", price=price, time=_days(pack.expires_days, words))
        if pack.expires_days
        else words.say("pack_forever", price=price)
    )
    return {
        "kind": "pack",
        "name": name,
        "label": pack.label,
        "price": price,
        "per": "",
        "gives": _estimate(pack.credit_usd, "gives_calls", found, words) or pack.gives,
        "detail": detail,
        "thanks": _pack_thanks(pack, config, words),
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


def _pack_thanks(pack: Pack, config: Config, words: Words) -> str:
    """Where the payer chose how much, the amount is not known here: the balance says it."""
    if pack.amount is not None or pack.max_quantity > 1:
        return words.say("arrived")
    price = words.money(pack.price_minor, config.currency_of(pack))
    return words.say("credit_added", price=price)


def _plan(name: str, plan: Plan, found: UpgradePage, words: Words) -> dict[str, Any]:
    more = [_gain(plan, found, words)]
    if plan.included_credit_usd:
        more.append(words.say("credit_included"))
    if plan.trial_days:
        more.append(words.say("trial", time=_days(plan.trial_days, words)))
    return {
        "kind": "plan",
        "name": name,
        "label": plan.label,
        "price": words.money(plan.price_minor, found.config.currency_of(plan)),
        "per": words.say(f"per_{plan.interval}"),
        "gives": _plan_estimate(plan, found, words) or plan.gives,
        "detail": " · ".join(more),
        "thanks": words.say("plan_active", plan=plan.label),
        "max_quantity": 1,
        "amount": None,
    }


def _plan_estimate(plan: Plan, found: UpgradePage, words: Words) -> str | None:
    allowed = allowance(found.config.tiers[plan.tier].limits)
    return _estimate(allowed[1], f"gives_{allowed[0]}", found, words) if allowed else None


def _estimate(nano: int, key: str, found: UpgradePage, words: Words) -> str | None:
    """How many calls that is for this user, where the owner wants it told and it is known."""
    if not found.config.settings.page.estimates:
        return None
    calls = calls_for(nano, found.standing.counters)
    return words.say(key, count=calls) if calls else None


def _smaller(name: str, plan: Plan, found: UpgradePage, words: Words) -> dict[str, Any]:
    """A plan for less: it has no trial, and what it gives is known to be less."""
    more = [words.say("smaller_detail")]
    if plan.included_credit_usd:
        more.append(words.say("credit_included"))
    thanks = words.say("smaller_thanks", plan=plan.label)
    offer = _plan(name, plan, found, words)
    return {**offer, "detail": " · ".join(more), "thanks": thanks}


def _change(found: UpgradePage, words: Words) -> dict[str, str] | None:
    """The plan that is to follow, and the one that runs, which may be kept after all."""
    plans = found.config.plans

    def label(name: str) -> str:
        return plans[name].label if name in plans else name

    for subscription, following in found.account.next_plans.items():
        running = found.account.subscriptions[subscription]
        return {
            "plan": running,
            "waits": words.say("change_waits", plan=label(following)),
            "keep": words.say("keep_plan", plan=label(running)),
            "thanks": words.say("plan_kept", plan=label(running)),
        }
    return None


def _gain(plan: Plan, found: UpgradePage, words: Words) -> str:
    """How many times as much the plan allows, in the longest window that both tiers limit."""
    limits = found.config.tiers[plan.tier].limits
    for window in reversed(Window):
        if window in limits and window in found.standing.limits:
            now = found.standing.limits[window].limit_nano
            times = limits[window].limit_usd // now if now else 0
            if times >= 2:
                return words.say(f"times_{window}", count=words.number(times))
            break
    return words.say("higher_limits")


def _hard_window(found: UpgradePage) -> str | None:
    """The window that stopped the call, where credits do not help past it."""
    reason = found.claims.reason
    for window, limit in found.standing.limits.items():
        if limit.hard and reason is not None and reason.window == window:
            return str(window)
    return None


def _days(days: int, words: Words) -> str:
    years, rest = divmod(days, 365)
    if rest or not years:
        return words.say("days", count=days)
    return words.say("years", count=years)
