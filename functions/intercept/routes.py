"""The four routes: parse, one call of a service, map the answer."""

from collections.abc import Callable
from http import HTTPStatus

from tollkeeper_core import bootstrap
from tollkeeper_core.domain.check_request import CheckRequest
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
    asked = parse(request.body, CheckRequest.validate)
    return json_answer(HTTPStatus.OK, bootstrap.check(count)(asked, _key(request)))


def _report(request: Request, _: str) -> Answer:
    from tollkeeper_core.domain.api import UsageBatch  # models, which a check does without

    authenticate(bootstrap.rules(), _key(request), KEYS_AGE_MS)
    batch = parse(request.body, UsageBatch.model_validate)
    return json_answer(HTTPStatus.ACCEPTED, bootstrap.report()(batch))


def _link(request: Request, _: str) -> Answer:
    from tollkeeper_core.domain.api import LinkRequest

    authenticate(bootstrap.rules(), _key(request), KEYS_AGE_MS)
    link = parse(request.body, LinkRequest.model_validate)
    return json_answer(HTTPStatus.OK, bootstrap.user_links()(link))


def _usage(request: Request, user_id: str) -> Answer:
    authenticate(bootstrap.rules(), _key(request), KEYS_AGE_MS)
    return json_answer(HTTPStatus.OK, bootstrap.read_usage()(user_id))


def _key(request: Request) -> str | None:
    return request.headers.get("authorization")
