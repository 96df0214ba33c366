"""The four routes: parse, one call of a service, map the answer."""

from collections.abc import Callable
from http import HTTPStatus
from typing import TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import from_json
from tollkeeper_core import bootstrap
from tollkeeper_core.domain.api import CheckRequest, LinkRequest, UsageBatch
from tollkeeper_core.domain.problems import Problem, invalid
from tollkeeper_core.function_url import Answer, Request, json_answer
from tollkeeper_core.services.authenticate import authenticate
from tollkeeper_core.services.report import problems
from tollkeeper_core.telemetry import count

_Model = TypeVar("_Model", bound=BaseModel)
_Route = Callable[[Request, str], Answer]

#: Routes that decide without a script may know a revoked key for so long.
_KEYS_AGE_MS = 10_000


def route(request: Request) -> Answer:
    """Answer a request. Raises Problem and what the services raise."""
    match request.path:
        case ("v1", "check"):
            methods: dict[str, _Route] = {"POST": _check}
            name = ""
        case ("v1", "usage"):
            methods, name = {"POST": _report}, ""
        case ("v1", "upgrade-links"):
            methods, name = {"POST": _link}, ""
        case ("v1", "users", name, "usage"):
            methods = {"GET": _usage}
        case _:
            raise Problem(HTTPStatus.NOT_FOUND, "not_found", "There is no such route.")
    if request.method not in methods:
        raise Problem(
            HTTPStatus.METHOD_NOT_ALLOWED,
            "method_not_allowed",
            f"This route takes {' and '.join(methods)}.",
            headers={"Allow": ", ".join(methods)},
        )
    return methods[request.method](request, name)


def _check(request: Request, _: str) -> Answer:
    check = bootstrap.check(count)
    return json_answer(HTTPStatus.OK, check(_body(request, CheckRequest), _key(request)))


def _report(request: Request, _: str) -> Answer:
    authenticate(bootstrap.configs(), _key(request), _KEYS_AGE_MS)
    return json_answer(HTTPStatus.ACCEPTED, bootstrap.report()(_body(request, UsageBatch)))


def _link(request: Request, _: str) -> Answer:
    authenticate(bootstrap.configs(), _key(request), _KEYS_AGE_MS)
    return json_answer(HTTPStatus.OK, bootstrap.user_links()(_body(request, LinkRequest)))


def _usage(request: Request, user_id: str) -> Answer:
    authenticate(bootstrap.configs(), _key(request), _KEYS_AGE_MS)
    return json_answer(HTTPStatus.OK, bootstrap.read_usage()(user_id))


def _key(request: Request) -> str | None:
    return request.headers.get("authorization")


def _body(request: Request, model: type[_Model]) -> _Model:
    """The body as ``model``. Raises Problem 400 where it is no JSON, 422 where it is wrong."""
    try:
        # Python's own parser would take NaN and Infinity for numbers.
        raw = from_json(request.body, allow_inf_nan=False)
    except ValueError as error:
        raise Problem(
            HTTPStatus.BAD_REQUEST, "bad_json", f"The body is not JSON: {error}."
        ) from None
    try:
        return model.model_validate(raw)
    except ValidationError as error:
        found = problems(error)
        raise invalid(f"{found[0]['field']}: {found[0]['error']}", found) from None
