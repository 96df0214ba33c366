"""Automatic top-ups on the page: what a form says of them, what the page shows, and their end."""

import re
from typing import Any, cast
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import Response
from tollkeeper_core.domain.config import AutoTopUp
from tollkeeper_core.domain.problems import invalid
from tollkeeper_core.domain.top_ups import Mandate, TopUp
from tollkeeper_core.services.top_up_consent import EndTopUp, TopUpWish
from tollkeeper_core.services.upgrade_view import UpgradePage
from tollkeeper_core.telemetry import count

from functions.upgrade_page import answers
from functions.upgrade_page.request import form, wants_json
from functions.upgrade_page.words import Words


async def end(request: Request) -> Response:
    """``POST /upgrade/auto-topup/end`` (t): nothing is charged any more; back to the page."""
    fields = await form(request)
    token = request.state.token = fields.get("t", "")
    lang = request.state.lang = fields.get("lang")
    cast(EndTopUp, request.app.state.end_top_up())(token)
    count("TopUpEnded")
    if wants_json(request):
        return answers.data({"auto_topup": "off"})
    back = urlencode({"t": token, **({"lang": lang} if lang else {})})
    return answers.see_other(f"/upgrade?{back}#auto-topup")


def wish_of(fields: dict[str, str]) -> TopUpWish | None:
    """What a form for the checkout says, if it is the one for this. Raises Problem 422."""
    if not {"auto_topup", "threshold", "monthly"} & fields.keys():
        return None
    percent, monthly = fields.get("threshold", ""), fields.get("monthly", "")
    if fields.get("auto_topup") != "agreed":
        raise invalid("Tick the box to agree to automatic top-ups.")
    if not re.fullmatch("[0-9]{1,2}", percent) or not re.fullmatch("[0-9]{1,3}", monthly):
        raise invalid("Choose a threshold, and a number of payments a month.")
    return TopUpWish(int(percent), int(monthly))


def auto_topup_view(found: UpgradePage, words: Words) -> dict[str, Any] | None:
    """What auto_topup.html shows; None where there is nothing to show."""
    rules, top_up = found.config.settings.auto_topup, found.account.top_up
    agreed = top_up if top_up is not None and top_up.mandate is not Mandate.OFF else None
    if rules is None and agreed is None:
        return None
    return {
        "agreed": None if agreed is None else _agreed(found, agreed, words),
        "offer": None if rules is None or not found.packs else _offer(found, rules, words),
    }


def _agreed(found: UpgradePage, top_up: TopUp, words: Words) -> dict[str, Any]:
    terms = top_up.terms(found.claims.user_id, (0, 0))
    pack = found.config.packs.get(terms.pack)
    # In what was paid, as everything on the page.
    below_minor = max(terms.price_minor * top_up.below_nano // terms.credit_nano, 1)
    stopped = top_up.mandate is Mandate.STOPPED
    return {
        "text": words.say(
            "topup_agreed",
            pack=pack.label if pack else terms.pack,
            price=words.money(terms.price_minor, terms.currency),
            below=words.money(below_minor, terms.currency),
            count=top_up.monthly_max,
        ),
        "stopped": top_up.why if stopped else None,
        "failed": bool(top_up.why) and not stopped,
        "paused": found.config.settings.auto_topup is None,
    }


def _offer(found: UpgradePage, rules: AutoTopUp, words: Words) -> dict[str, Any]:
    return {
        "packs": [
            {
                "name": name,
                "label": pack.label,
                "price": words.money(pack.price_minor, found.config.currency_of(pack)),
            }
            for name, pack in found.packs
        ],
        "thresholds": sorted(set(rules.thresholds_percent)),
        "monthly_max": rules.monthly_max,
    }
