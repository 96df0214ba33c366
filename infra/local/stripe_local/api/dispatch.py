"""From an HTTP request to an endpoint and back: key, form, types, idempotency, expansion."""

import base64
import binascii
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass

from infra.local.stripe_local.account import Account, Cause, Json
from infra.local.stripe_local.api.call import Call, Route
from infra.local.stripe_local.api.expand import check_paths, expand
from infra.local.stripe_local.api.forms import decode_form
from infra.local.stripe_local.api.idempotency import Recorded, record, replay
from infra.local.stripe_local.api.params import check_params
from infra.local.stripe_local.api.resources import ROUTES
from infra.local.stripe_local.errors import StripeError
from infra.local.stripe_local.version import API_VERSION

_FORM = "application/x-www-form-urlencoded"
_KEY = re.compile(r"sk_test_\w+")
_TABLE = [
    (route, re.compile("/v1" + route.path.replace("{id}", "(?P<id>[^/]+)"))) for route in ROUTES
]


@dataclass(frozen=True)
class Request:
    """An HTTP request as this layer needs it; header names in lower case."""

    method: str
    path: str
    query: str
    body: bytes
    headers: Mapping[str, str]
    base_url: str


@dataclass(frozen=True)
class Answer:
    """Status, JSON and the headers that Stripe adds."""

    status: int
    body: Json
    headers: dict[str, str]

    def encode(self) -> bytes:
        """Return the body as Stripe writes it: indented by two."""
        return json.dumps(self.body, indent=2, ensure_ascii=False).encode()


def answer(account: Account, request: Request) -> Answer:
    """Answer a request to the API; errors come in Stripe's shape."""
    request_id = account.mint("request")
    headers = {"Request-Id": request_id, "Stripe-Version": API_VERSION}
    try:
        _authenticate(request.headers.get("authorization", ""))
        _check_version(request.headers.get("stripe-version", API_VERSION))
        result, more = _run(account, request, request_id)
    except StripeError as error:
        if error.status == 401:
            headers["WWW-Authenticate"] = 'Basic realm="Stripe"'
        return Answer(error.status, {"error": error.error}, headers)
    return Answer(result.status, result.body, headers | more)


def _run(account: Account, request: Request, request_id: str) -> tuple[Recorded, dict[str, str]]:
    route, object_id = _route(request.method, request.path)
    form = _form(request)
    key = request.headers.get("idempotency-key") if request.method == "POST" else None
    more: dict[str, str] = {}
    if key is not None:
        more["Idempotency-Key"] = key
        recorded = replay(account, key, request.path, form)
        if recorded is not None:
            more |= {"Idempotent-Replayed": "true", "Original-Request": recorded.request_id}
            return recorded, more
    params = check_params(form, route.params)
    paths = params.pop("expand", [])
    check_paths(route.answers, paths)
    call = Call(
        account=account,
        params=params,
        id=object_id,
        path=request.path,
        base_url=request.base_url,
        cause=Cause(request_id, key),
    )
    try:
        result = Recorded(200, expand(account, route.endpoint(call), paths), request_id)
    except StripeError as error:
        if error.status != 402:
            raise
        # A declined payment has happened: asked again, it is not tried again.
        result = Recorded(402, {"error": error.error}, request_id)
    if key is not None:
        record(account, key, request.path, form, result)
    return result, more


def _authenticate(authorization: str) -> None:
    """Take `Bearer sk_test_...`, or Basic with the key as the user's name; else raise (401)."""
    scheme, _, credentials = authorization.partition(" ")
    key = ""
    if scheme.lower() == "bearer":
        key = credentials.strip()
    elif scheme.lower() == "basic":
        try:
            key = base64.b64decode(credentials, validate=True).decode().partition(":")[0]
        except (binascii.Error, UnicodeDecodeError):
            key = ""
    if not key:
        raise StripeError(
            "You did not provide an API key. You need to provide your API key in the Authorization "
            "header, using Bearer auth (e.g. 'Authorization: Bearer YOUR_SECRET_KEY').",
            status=401,
        )
    if _KEY.fullmatch(key) is None:
        hidden = key[:8] + "*" * max(len(key) - 12, 0) + key[-4:] if len(key) > 12 else "****"
        raise StripeError(f"Invalid API Key provided: {hidden}", status=401)


def _check_version(version: str) -> None:
    """One version is spoken here: another would have to be answered in shapes this server lacks."""
    if version != API_VERSION:
        raise StripeError(
            f"Invalid Stripe API version: {version}. Local Stripe speaks {API_VERSION} only."
        )


def _route(method: str, path: str) -> tuple[Route, str]:
    for route, pattern in _TABLE:
        match = pattern.fullmatch(path)
        if match is not None and route.method == method:
            return route, match.groupdict().get("id", "")
    raise StripeError(f"Unrecognized request URL ({method}: {path}).", status=404)


def _form(request: Request) -> Json:
    if request.method != "POST":
        return decode_form(request.query)
    kind = request.headers.get("content-type", _FORM).partition(";")[0].strip().lower()
    if request.body and kind != _FORM:
        raise StripeError(
            f"Invalid request (check that your POST content type is {_FORM}).",
        )
    try:
        return decode_form(request.body.decode("ascii"))
    except UnicodeDecodeError as error:
        raise StripeError("Invalid request: the form could not be decoded.") from error
