"""The API against its own document: whatever is sent, what comes back is what it says."""

from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st
from redis import Redis
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from infra.local.stack import LocalStack
from infra.reference.openapi import document

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]
OPERATIONS = [
    ("/v1/check", "POST"),
    ("/v1/usage", "POST"),
    ("/v1/upgrade-links", "POST"),
    ("/v1/users/{user_id}/usage", "GET"),
]


def test_every_route_of_the_document_is_tried() -> None:
    paths = document()["paths"]
    assert {(path, m.upper()) for path, methods in paths.items() for m in methods} == set(
        OPERATIONS
    )


@pytest.mark.parametrize(("path", "method"), OPERATIONS)
def test_no_request_breaks_the_promise(stack: LocalStack, path: str, method: str) -> None:
    schema = schemathesis.openapi.from_dict(document())
    operation = schema[path][method]
    cases = st.one_of(*(operation.as_strategy(generation_mode=mode) for mode in GenerationMode))
    statuses: set[int] = set()

    @seed(20_261_125)
    @settings(
        max_examples=80, deadline=None, database=None, suppress_health_check=list(HealthCheck)
    )
    @given(case=cases)
    def ask(case: Any) -> None:
        before = redis.dbsize()
        headers = {"Authorization": f"Bearer {stack.api_key}"}
        answer = case.call(base_url=stack.urls["intercept"], headers=headers)
        case.validate_response(answer, checks=CHECKS)
        statuses.add(answer.status_code)
        if answer.status_code >= 400:
            assert redis.dbsize() == before, "an invalid request left something behind"

    with Redis(port=stack.redis_port) as redis:
        ask()
    assert any(status < 300 for status in statuses), "nothing valid was tried"
    assert any(400 <= status < 500 for status in statuses), "nothing invalid was tried"
