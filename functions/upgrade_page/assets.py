"""The files that the page and the app load: an allowlist, each known by its content."""

from hashlib import sha256
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlencode

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from tollkeeper_core.domain.page_style import PageStyle, on

_HERE = Path(__file__).parent / "static"
_TYPES = {
    ".css": "text/css",
    ".js": "text/javascript",
    ".mjs": "text/javascript",
    ".ts": "text/plain",
}
_NAMES = ("embed.js", "page.css", "page.js")
#: What of the owner's settings is a matter of style sheets.
_LOOK = ("accent", "accent_dark", "radius", "font")


class _Asset(NamedTuple):
    body: bytes
    media_type: str
    version: str


def _read(path: Path) -> _Asset:
    body = path.read_bytes()
    return _Asset(body, _TYPES[path.suffix], sha256(body).hexdigest()[:16])


def _module(script: _Asset) -> _Asset:
    """The script as an ES module: the same code, and what it made by name."""
    names = b"export const { open, fetch, warn } = globalThis.Tollkeeper;\n"
    body = script.body + names + b"export default globalThis.Tollkeeper;\n"
    return _Asset(body, script.media_type, sha256(body).hexdigest()[:16])


_ASSETS = {name: _read(_HERE / name) for name in _NAMES}
_EMBEDS = {
    "embed.js": _ASSETS["embed.js"],
    "embed.mjs": _module(_ASSETS["embed.js"]),
    "checkout.mjs": _read(_HERE / "checkout.mjs"),
    "embed.d.ts": _read(_HERE / "embed.d.ts"),
}
#: What apps load by its plain name.
EMBED_PATHS = tuple(f"/{name}" for name in _EMBEDS)


def address(name: str) -> str:
    """Where a page loads it from. A new version is a new address, so a browser may keep it."""
    return f"/static/{name}?v={_ASSETS[name].version}"


async def static(request: Request) -> Response:
    """``GET /static/<name>``."""
    asset = _ASSETS.get(request.path_params["name"])
    if asset is None:
        raise HTTPException(404)
    current = request.query_params.get("v") == asset.version
    return _answer(request, asset, "public, max-age=31536000, immutable" if current else "no-cache")


def theme_address(style: PageStyle) -> str | None:
    """Where a page loads the owner's look from, if there is one: all of it is in the address."""
    chosen = {name: value for name in _LOOK if (value := getattr(style, name)) is not None}
    return f"/theme.css?{urlencode(chosen)}" if chosen else None


async def theme(request: Request) -> Response:
    """``GET /theme.css``: as the page's address says, and nothing that the settings do not take."""
    asked = {name: value for name, value in request.query_params.items() if name in _LOOK}
    try:
        style = PageStyle.model_validate(asked)
    except ValueError:
        raise HTTPException(404) from None
    rules = []
    if style.radius is not None:
        rules.append(f":root{{--radius:{style.radius}px}}")
    if style.font is not None:
        names = ",".join(f'"{name.strip()}"' for name in style.font.split(",") if name.strip())
        rules.append(f":root{{--font:{names},system-ui,sans-serif}}")
    if style.accent is not None and style.accent_dark is not None:
        light, dark = (
            f":root{{--accent:{colour};--on-accent:{on(colour)}}}"
            for colour in (style.accent, style.accent_dark)
        )
        rules += [light, f"@media(prefers-color-scheme:dark){{{dark}}}"]
    headers = {"Cache-Control": "public, max-age=31536000, immutable"}
    headers["X-Content-Type-Options"] = "nosniff"
    return Response("\n".join(rules), media_type="text/css", headers=headers)


async def embed(request: Request) -> Response:
    """``GET /embed.js`` and its like (see ``EMBED_PATHS``): apps name them without a version, so a
    new one holds within the hour."""
    answer = _answer(request, _EMBEDS[request.url.path.lstrip("/")], "public, max-age=3600")
    # Loaded by pages of other origins, also by those that isolate themselves (COEP).
    answer.headers["Cross-Origin-Resource-Policy"] = "cross-origin"
    answer.headers["Access-Control-Allow-Origin"] = "*"
    return answer


def _answer(request: Request, asset: _Asset, cache_control: str) -> Response:
    headers = {
        "ETag": f'"{asset.version}"',
        "Cache-Control": cache_control,
        "X-Content-Type-Options": "nosniff",
    }
    known = request.headers.get("if-none-match", "")
    if headers["ETag"] in (tag.strip().removeprefix("W/") for tag in known.split(",")):
        return Response(status_code=304, headers=headers)
    return Response(asset.body, media_type=asset.media_type, headers=headers)
