"""From a choice to the payment."""

from starlette.requests import Request
from starlette.responses import Response
from tollkeeper_core.domain.problems import invalid
from tollkeeper_core.services.upgrade import OfferKind
from tollkeeper_core.telemetry import count

from functions.upgrade_page import answers
from functions.upgrade_page.request import form, service, wants_json


async def checkout(request: Request) -> Response:
    """``POST /upgrade/checkout`` (t, and pack or plan): the payment's address, or a redirect."""
    fields = await form(request)
    request.state.token = fields.get("t", "")
    kind, name = _choice(fields)
    started = service(request).start_checkout(
        request.state.token, kind, name, str(request.base_url)
    )
    count("CheckoutStarted")
    if wants_json(request):
        return answers.data({"checkout_url": started.url})
    return answers.see_other(started.url)


def _choice(fields: dict[str, str]) -> tuple[OfferKind, str]:
    if "pack" in fields and "plan" not in fields:
        return "pack", fields["pack"]
    if "plan" in fields and "pack" not in fields:
        return "plan", fields["plan"]
    raise invalid("Choose one pack or one plan.")
