"""Answers and what protects them: nothing inline, framed by nobody unlisted, kept nowhere."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.responses import HTMLResponse, JSONResponse, Response
from tollkeeper_core.domain.config import Settings
from tollkeeper_core.domain.problems import CONTENT_TYPE, Problem

from functions.upgrade_page.assets import address

_HERE = Path(__file__).parent

_templates = Environment(
    loader=FileSystemLoader(_HERE / "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_templates.globals["address"] = address

#: The address holds the token: no answer is kept, and none tells the next site where one was.
_HEADERS = {
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Robots-Tag": "noindex",
}


def page(
    template: str,
    context: Mapping[str, Any],
    *,
    settings: Settings | None,
    form_origins: Sequence[str] = (),
    status: int = 200,
) -> Response:
    """A page that only the allowed origins may frame and whose forms lead to us or the payment.

    Without settings nobody may.
    """
    frame_origins = settings.allowed_origins if settings else []
    logo_origin = settings.page.logo_origin if settings else None
    html = _templates.get_template(template).render(context)
    policy = {
        "default-src": "'none'",
        "script-src": "'self'",
        "style-src": "'self'",
        "img-src": " ".join(filter(None, ("'self' data:", logo_origin))),
        "connect-src": "'self'",
        # Browsers hold the redirect that answers a form against this, too.
        "form-action": " ".join(("'self'", *form_origins)),
        "frame-ancestors": " ".join(frame_origins) or "'none'",
        "base-uri": "'none'",
    }
    csp = "; ".join(f"{name} {value}" for name, value in policy.items())
    headers = {**_HEADERS, "Content-Security-Policy": csp}
    headers["Content-Language"] = context["words"].locale
    return HTMLResponse(html, status, headers)


def data(content: Mapping[str, Any]) -> Response:
    """JSON for our own script."""
    return JSONResponse(content, headers=_HEADERS)


def nothing() -> Response:
    """Done, and nothing to say."""
    return Response(status_code=204, headers=_HEADERS)


def problem(error: Problem) -> Response:
    """RFC 9457."""
    headers = {**_HEADERS, **error.headers}
    return JSONResponse(error.as_json(), error.status, headers, media_type=CONTENT_TYPE)


def see_other(url: str) -> Response:
    """To the payment, for a form that no script sent."""
    return Response(status_code=303, headers={**_HEADERS, "Location": url})
