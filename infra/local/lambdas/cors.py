"""What a function URL with CORS settings answers itself, and adds to its function's answers.

The settings take the place of any CORS header that the function returns
(Lambda developer guide, "Cross-origin resource sharing (CORS)").
"""

from infra.local.lambdas.function_url import Headers
from infra.local.template import Cors

_PREFIX = "access-control-"


def is_preflight(method: str, headers: Headers) -> bool:
    """Whether a browser asks what it may do before it does it (Fetch standard)."""
    names = {name.lower() for name, _ in headers}
    return method == "OPTIONS" and {"origin", "access-control-request-method"} <= names


def preflight_headers(cors: Cors, request: Headers) -> Headers:
    """The answer's CORS headers; none for an origin that is not allowed."""
    allowed = _origin_headers(cors, request)
    if not allowed:
        return []
    if cors.allow_methods:
        allowed.append((_PREFIX + "allow-methods", ",".join(cors.allow_methods)))
    if cors.allow_headers:
        allowed.append((_PREFIX + "allow-headers", ",".join(cors.allow_headers)))
    if cors.max_age_s:
        allowed.append((_PREFIX + "max-age", str(cors.max_age_s)))
    return allowed


def with_cors(cors: Cors, request: Headers, answer: Headers) -> Headers:
    """The function's headers with the URL's CORS headers in place of its own."""
    kept = [(name, value) for name, value in answer if not name.startswith(_PREFIX)]
    added = _origin_headers(cors, request)
    if added and cors.expose_headers:
        added.append((_PREFIX + "expose-headers", ",".join(cors.expose_headers)))
    return kept + added


def _origin_headers(cors: Cors, request: Headers) -> Headers:
    origin = next((value for name, value in request if name.lower() == "origin"), None)
    if origin is None or not ({origin, "*"} & set(cors.allow_origins)):
        return []
    headers = [(_PREFIX + "allow-origin", origin), ("vary", "Origin")]
    if cors.allow_credentials:
        headers.append((_PREFIX + "allow-credentials", "true"))
    return headers
