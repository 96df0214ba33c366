"""What became of a purchase, for the script that waits for it."""

from starlette.requests import Request
from starlette.responses import Response

from functions.upgrade_page import answers
from functions.upgrade_page.request import service, token


async def status(request: Request) -> Response:
    """``GET /upgrade/status?t=``."""
    return answers.data(service(request).status(token(request)))
