"""The files that the page and the app load: an allowlist, each known by its content."""

from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

_HERE = Path(__file__).parent / "static"
_TYPES = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
_NAMES = ("embed.js", "page.css", "page.js")


class _Asset(NamedTuple):
    body: bytes
    media_type: str
    version: str


def _read(path: Path) -> _Asset:
    body = path.read_bytes()
    return _Asset(body, _TYPES[path.suffix], sha256(body).hexdigest()[:16])


_ASSETS = {name: _read(_HERE / name) for name in _NAMES}


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


async def embed(request: Request) -> Response:
    """``GET /embed.js``: apps name it without a version, so a new one holds within the hour."""
    answer = _answer(request, _ASSETS["embed.js"], "public, max-age=3600")
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
