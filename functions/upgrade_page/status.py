"""What became of a purchase, for the script that waits for it."""

from starlette.requests import Request
from starlette.responses import Response

from functions.upgrade_page import answers
from functions.upgrade_page.request import service, token, words
from functions.upgrade_page.views import balances, checked


async def status(request: Request) -> Response:
    """``GET /upgrade/status?t=``: and, once paid, the balance in the page's own words."""
    upgrades = service(request)
    found = upgrades.status(token(request))
    if "usage" in found:
        said = words(request, upgrades.settings())
        found["balance"] = balances(found["usage"], said)
        found["checked"] = checked(found["usage"], said)
    return answers.data(found)
