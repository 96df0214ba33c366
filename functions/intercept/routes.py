"""The four routes: parse, one call of a service, map the answer."""

from collections.abc import Callable
from http import HTTPStatus

from tollkeeper_core import bootstrap
from tollkeeper_core.domain.api import CheckRequest, LinkRequest, UsageBatch
from tollkeeper_core.domain.problems import Problem
from tollkeeper_core.function_url import Answer, Request, json_answer
from tollkeeper_core.services.authenticate import KEYS_AGE_MS, authenticate
from tollkeeper_core.services.validation import parse
from tollkeeper_core.telemetry import count

_Route = Callable[[Request, str], Answer]


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
    return json_answer(HTTPStatus.OK, check(parse(request.body, CheckRequest), _key(request)))


def _report(request: Request, _: str) -> Answer:
    authenticate(bootstrap.configs(), _key(request), KEYS_AGE_MS)
    return json_answer(HTTPStatus.ACCEPTED, bootstrap.report()(parse(request.body, UsageBatch)))


def _link(request: Request, _: str) -> Answer:
    authenticate(bootstrap.configs(), _key(request), KEYS_AGE_MS)
    return json_answer(HTTPStatus.OK, bootstrap.user_links()(parse(request.body, LinkRequest)))


def _usage(request: Request, user_id: str) -> Answer:
    authenticate(bootstrap.configs(), _key(request), KEYS_AGE_MS)
    return json_answer(HTTPStatus.OK, bootstrap.read_usage()(user_id))


def _key(request: Request) -> str | None:
    return request.headers.get("authorization")
