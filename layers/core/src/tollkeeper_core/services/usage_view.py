"""What end users may see of their usage: percent, resets, and credits in what they paid.

Never AI spend: not a limit, not a cost, not what a credit buys.
"""

from collections.abc import Mapping
from typing import Any

from tollkeeper_core.domain.credits import display_checked, display_credits, display_on_hold
from tollkeeper_core.domain.ledger import Lot, Standing, WindowLimit
from tollkeeper_core.domain.money import format_minor
from tollkeeper_core.domain.periods import Periods, Window, rfc3339


def percent(limit: WindowLimit, used_nano: int) -> int:
    """0 to 100, rounded down: 100 only at the limit."""
    if used_nano >= limit.limit_nano:
        return 100
    return used_nano * 100 // limit.limit_nano


def usage_view(
    standing: Standing, periods: Periods, now_ms: int, *, with_holds: bool = False
) -> dict[str, Any]:
    """{"tier", "windows": {name: {"percent", "resets_at"}}, "credits": [{currency, ...}]}.

    ``with_holds`` counts calls under way as used: whoever was stopped by them would not understand
    a bar that is nearly empty.
    """
    windows = {}
    for window, limit in standing.limits.items():
        counters = standing.counters[window]
        used_nano = limit.used_nano(counters) + (limit.held_nano(counters) if with_holds else 0)
        windows[str(window)] = {
            "percent": percent(limit, used_nano),
            "resets_at": rfc3339(periods.of(window).resets_ms),
        }
    return {
        "tier": standing.tier,
        "windows": windows,
        "credits": _balances(standing.lots, now_ms),
    }


def _balances(lots: tuple[Lot, ...], now_ms: int) -> list[dict[str, Any]]:
    """One for each currency. ``on_hold_...`` only where a dispute keeps some, which is in no
    balance; ``checking_...`` only where some of the balance is not open yet, since it is fresh.
    """
    shown, held = display_credits(lots, now_ms), display_on_hold(lots, now_ms)
    checked = display_checked(lots, now_ms)
    balances = []
    for currency in sorted(shown.keys() | held.keys()):
        minor, display = shown.get(currency, (0, format_minor(0, currency)))
        balance = {"currency": currency, "balance_minor": minor, "display": display}
        if currency in held:
            balance["on_hold_minor"], balance["on_hold_display"] = held[currency]
        if (fresh := checked.get(currency)) is not None:
            balance["checking_minor"], balance["checking_display"] = fresh.minor, fresh.display
            balance["checking_until"] = rfc3339(fresh.until_ms)
        balances.append(balance)
    return balances


def warnings_of(view: Mapping[str, Any], warned: Mapping[str, int]) -> list[dict[str, Any]]:
    """One for each window of ``warned`` (see Reservation): how far it is used, and until when."""
    return [
        {
            "code": "limit_near",
            "window": name,
            "percent": view["windows"][name]["percent"],
            "threshold": threshold,
            "resets_at": view["windows"][name]["resets_at"],
        }
        for name, threshold in warned.items()
    ]


def binding_window(
    standing: Standing, periods: Periods, amount_nano: int, now_ms: int
) -> Window | None:
    """The window that stops a call of this amount: of those without room, the last to reset.

    Waiting for any other would not help. None where no window stops it.
    """
    credits_nano = free_credits_nano(standing, now_ms)
    need_nano = max(amount_nano, 1)

    def stops(window: Window) -> bool:
        limit = standing.limits[window]
        room_nano = limit.room_nano(standing.counters[window])
        if limit.hard:
            return room_nano < need_nano
        return max(room_nano, 0) + credits_nano < need_nano

    full = filter(stops, standing.limits)
    return max(full, key=lambda w: periods.of(w).resets_ms, default=None)


def free_credits_nano(standing: Standing, now_ms: int) -> int:
    """Credits that may be used now and are not held."""
    usable = sum(lot.usable_nano(now_ms) for lot in standing.lots)
    return max(usable - standing.held_credits_nano, 0)
