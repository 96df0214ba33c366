"""From a choice to the payment."""

import re
from dataclasses import replace

from starlette.requests import Request
from starlette.responses import Response
from tollkeeper_core.domain.offers import Choice
from tollkeeper_core.domain.problems import invalid
from tollkeeper_core.services.upgrade import OfferKind
from tollkeeper_core.telemetry import count

from functions.upgrade_page import answers
from functions.upgrade_page.auto_topup import wish_of
from functions.upgrade_page.request import back, form, service, wants_json, words
from functions.upgrade_page.views import carried


async def checkout(request: Request) -> Response:
    """``POST /upgrade/checkout`` (t, and pack or plan): the payment's address, or a redirect.

    With ``embedded``, where that is set up, what the app's page needs to show the payment itself.
    """
    fields = await form(request)
    request.state.token = fields.get("t", "")
    request.state.lang = fields.get("lang")
    kind, name = _offer(fields)
    upgrades = service(request)
    said = words(request, upgrades.settings(), request.state.lang)
    started = upgrades.start_checkout(
        request.state.token,
        kind,
        name,
        str(request.base_url),
        replace(_choice(fields, name), embedded="embedded" in fields and wants_json(request)),
        carried(said, back(fields)),
        wish_of(fields),
    )
    count("CheckoutStarted")
    if started.client_secret is not None:
        key = upgrades.settings().checkout.embedded_key
        script = upgrades.billing.script_url
        return answers.data({"secret": started.client_secret, "key": key, "script": script})
    if wants_json(request):
        return answers.data({"checkout_url": started.url})
    return answers.see_other(started.url)


async def portal(request: Request) -> Response:
    """``POST /upgrade/portal`` (t): to the payment provider's page of invoices, card and plan."""
    fields = await form(request)
    request.state.token = fields.get("t", "")
    request.state.lang = fields.get("lang")
    url = service(request).portal_url(request.state.token, str(request.base_url))
    if wants_json(request):
        return answers.data({"portal_url": url})
    return answers.see_other(url)


def _offer(fields: dict[str, str]) -> tuple[OfferKind, str]:
    if "pack" in fields and "plan" not in fields:
        return "pack", fields["pack"]
    if "plan" in fields and "pack" not in fields:
        return "plan", fields["plan"]
    raise invalid("Choose one pack or one plan.")


def _choice(fields: dict[str, str], name: str) -> Choice:
    """Of the fields that belong to this offer: one form holds them all."""
    quantity, amount = fields.get(f"quantity.{name}", "1"), fields.get(f"amount.{name}")
    if not re.fullmatch("[0-9]{1,3}", quantity):
        raise invalid("The quantity must be a whole number.")
    if amount is None:
        return Choice(int(quantity))
    # Whole units of the currency, as people type them; cents where they typed them.
    if not re.fullmatch(r"[0-9]{1,8}([.,][0-9]{1,2})?", amount.strip()):
        raise invalid("The amount must be a number such as 12 or 12.50.")
    return Choice(int(quantity), amount_text=amount.strip().replace(",", "."))
