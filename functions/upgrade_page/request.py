"""What a request says."""

import re
from collections.abc import Mapping
from typing import cast
from urllib.parse import parse_qsl

from starlette.requests import Request
from tollkeeper_core.domain.config import Settings
from tollkeeper_core.domain.page_style import PageStyle
from tollkeeper_core.domain.problems import invalid, too_large
from tollkeeper_core.services.upgrade import UpgradeService

from functions.upgrade_page.words import Words, words_for

#: A form holds a token (4,096 characters at most), a name, and what was typed for each pack.
_FORM_BYTES_MAX = 8192
_FIELDS_MAX = 100


def service(request: Request) -> UpgradeService:
    """The use cases."""
    return cast(UpgradeService, request.app.state.upgrade_service())


def token(request: Request) -> str:
    """The link's token; an empty one is not valid either."""
    return request.query_params.get("t", "")


def words(request: Request, settings: Settings | None, asked: str | None = None) -> Words:
    """The language: the form's or the address's (``lang``), else the browser's, else the owner's.

    Without settings (an outage may keep them) in the page's own texts.
    """
    return words_for(
        settings.page if settings else PageStyle(),
        asked or request.query_params.get("lang"),
        request.headers.get("accept-language", ""),
    )


def back(fields: Mapping[str, str]) -> str:
    """Where in the app the user was (``back``): a path, or nothing. Only ever put after an origin
    that the owner allows, so that it leads nowhere else."""
    path = fields.get("back", "")
    return path if re.fullmatch(r"/[!-~]{0,400}", path) else ""


async def form(request: Request) -> dict[str, str]:
    """The fields of an urlencoded form. Raises Problem 413, 422.

    Parsed here: Starlette's own parser needs a package that handles file uploads.
    """
    body = await request.body()
    if len(body) > _FORM_BYTES_MAX:
        raise too_large(_FORM_BYTES_MAX)
    try:
        return dict(
            parse_qsl(body.decode("ascii"), strict_parsing=True, max_num_fields=_FIELDS_MAX)
        )
    except ValueError:
        raise invalid("The form cannot be read.") from None


def wants_json(request: Request) -> bool:
    """Whether a script asks, rather than a browser that shows the answer."""
    return "application/json" in request.headers.get("accept", "")
