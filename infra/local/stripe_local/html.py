"""What every page needs: the templates, and headers that let a page do little."""

from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response

from infra.local.stripe_local.account import Json
from infra.local.stripe_local.moments import show_moment
from infra.local.stripe_local.money import show_amount

# No form-action: browsers hold it against the redirect to the merchant's success_url, too.
_POLICY = "default-src 'none'; style-src 'self'; img-src data:; base-uri 'none'; "
_HEADERS = {"Referrer-Policy": "no-referrer", "Cache-Control": "no-store"}
_ALONE = {
    "Content-Security-Policy": _POLICY + "frame-ancestors 'none'",
    "X-Frame-Options": "DENY",
}
# Embedded Checkout is there to be framed, by whichever origin has the session's secret.
_FRAMED = {"Content-Security-Policy": _POLICY + "script-src 'self'"}


class Renderer:
    """Renders the templates; a name that a template lacks is an error."""

    def __init__(self) -> None:
        self._templates = Environment(
            loader=FileSystemLoader(Path(__file__).with_name("templates")),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._templates.filters |= {"amount": show_amount, "moment": show_moment}

    def __call__(
        self, template: str, status: int, /, *, framed: bool = False, **names: object
    ) -> HTMLResponse:
        """Return the page as an answer. `framed`: it is shown inside of another page."""
        text = self._templates.get_template(template).render(framed=framed, **names)
        return HTMLResponse(text, status, _HEADERS | (_FRAMED if framed else _ALONE))


def see(url: str) -> RedirectResponse:
    """Lead the browser on by a GET."""
    return RedirectResponse(url, 303, headers={"Cache-Control": "no-store"})


def done(request: Request, answer: Json) -> Response:
    """Lead a browser back to the account page; answer JSON to everyone else."""
    if "text/html" in request.headers.get("accept", ""):
        return see("/_local")
    return JSONResponse(answer)
