"""What the page tells as it is closed."""

from starlette.requests import Request
from starlette.responses import Response

from functions.upgrade_page import answers
from functions.upgrade_page.request import form, service


async def dismissed(request: Request) -> Response:
    """``POST /upgrade/dismissed`` (t): it was closed and nothing bought. Nobody waits for it."""
    fields = await form(request)
    token = request.state.token = fields.get("t", "")
    service(request).dismiss(token)
    return answers.nothing()
