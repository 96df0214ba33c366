"""The pages: what is for sale, and where a payer comes back to."""

from starlette.requests import Request
from starlette.responses import Response
from tollkeeper_core.domain.movements import PromptState
from tollkeeper_core.telemetry import count

from functions.upgrade_page import answers
from functions.upgrade_page.request import back, service, token, words
from functions.upgrade_page.views import page_context, thanks


async def upgrade(request: Request) -> Response:
    """``GET /upgrade?t=``: packs and plans, or thanks where this link's purchase is paid."""
    upgrades = service(request)
    found = upgrades.page(token(request))
    said = words(request, found.config.settings)
    paid = found.state is PromptState.PAID
    count("UpgradePageShown")
    return answers.page(
        "upgrade.html",
        {
            **page_context(found, token(request), said, back(request.query_params)),
            "view": "paid" if paid else "choose",
            "thanks": thanks(found.config, {}, said),
        },
        settings=found.config.settings,
        form_origins=upgrades.billing.checkout_origins,
    )


async def done(request: Request) -> Response:
    """``GET /upgrade/done?t=``: after the payment, in a pop-up or in the tab itself."""
    found = service(request).watch(token(request))
    said = words(request, found.config.settings)
    paid = found.state is PromptState.PAID
    canceled = "canceled" in request.query_params and not paid
    return answers.page(
        "done.html",
        {
            **page_context(found, token(request), said, back(request.query_params)),
            "view": "paid" if paid else "canceled" if canceled else "waiting",
            "thanks": thanks(found.config, request.query_params, said),
        },
        settings=found.config.settings,
    )
