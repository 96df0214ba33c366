"""What became of a purchase, for the script that waits for it."""

from starlette.requests import Request
from starlette.responses import Response

from functions.upgrade_page import answers
from functions.upgrade_page.request import service, token, words
from functions.upgrade_page.views import balances


async def status(request: Request) -> Response:
    """``GET /upgrade/status?t=``: and, once paid, the balance in the page's own words."""
    upgrades = service(request)
    found = upgrades.status(token(request))
    if "usage" in found:
        found["balance"] = balances(found["usage"], words(request, upgrades.settings()))
    return answers.data(found)
