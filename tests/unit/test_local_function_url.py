"""Function URLs: requests become events, results become answers, CORS is the URL's own."""

import base64
import json

import pytest

from infra.local.lambdas.cors import is_preflight, preflight_headers, with_cors
from infra.local.lambdas.function_url import (
    HttpRequest,
    InvalidAnswerError,
    build_event,
    read_answer,
)
from infra.local.template import Cors


def request(**changes: object) -> HttpRequest:
    values = {
        "method": "POST",
        "raw_path": "/",
        "raw_query": "",
        "headers": [("Host", "127.0.0.1:4101")],
        "body": b"",
        "client_ip": "127.0.0.1",
    }
    return HttpRequest(**{**values, **changes})  # type: ignore[arg-type]


def event(**changes: object) -> dict[str, object]:
    return build_event(request(**changes), url_id="u1", request_id="r1", trace_id="Root=1")


def test_path_and_query_stay_encoded_and_parameters_do_not() -> None:
    built = event(raw_path="/v1/users/a%2Fb/usage", raw_query="x=1&x=2%2C3&empty=&y=a%20b")
    assert built["rawPath"] == "/v1/users/a%2Fb/usage"
    assert built["requestContext"]["http"]["path"] == "/v1/users/a%2Fb/usage"  # type: ignore[index]
    assert built["rawQueryString"] == "x=1&x=2%2C3&empty=&y=a%20b"
    assert built["queryStringParameters"] == {"x": "1,2,3", "empty": "", "y": "a b"}
    assert "queryStringParameters" not in event()


def test_headers_are_lower_case_and_joined_and_cookies_apart() -> None:
    built = event(
        headers=[
            ("Host", "h:81"),
            ("X-Twice", "a"),
            ("x-twice", "b"),
            ("Cookie", "one=1; two=2"),
            ("cookie", "three=3"),
            ("Connection", "keep-alive"),
            ("X-Forwarded-Proto", "https"),
        ]
    )
    assert built["headers"] == {
        "host": "h:81",
        "x-twice": "a,b",
        "x-amzn-trace-id": "Root=1",
        "x-forwarded-for": "127.0.0.1",
        "x-forwarded-port": "81",
        "x-forwarded-proto": "http",
    }
    assert built["cookies"] == ["one=1", "two=2", "three=3"]
    assert "cookies" not in event()


@pytest.mark.parametrize(
    ("content_type", "body", "is_text"),
    [
        ("application/json", b'{"a": "\xc3\xa9"}', True),
        ("application/problem+json; charset=utf-8", b"{}", True),
        ("text/plain", b"hi", True),
        ("application/xml", b"<a/>", True),
        ("application/javascript", b"1", True),
        ("application/x-www-form-urlencoded", b"a=1", False),
        ("application/octet-stream", b"hi", False),
        ("multipart/form-data; boundary=text/plain", b"hi", False),
        ("", b"hi", False),
        # Not UTF-8, so no JSON string can carry it as text.
        ("text/plain", b"\xff\x00", False),
    ],
)
def test_only_known_text_arrives_as_text(content_type: str, body: bytes, is_text: bool) -> None:
    built = event(headers=[("content-type", content_type)], body=body)
    assert built["isBase64Encoded"] is not is_text
    assert built["body"] == (body.decode() if is_text else base64.b64encode(body).decode())


def test_an_empty_body_is_left_out() -> None:
    built = event(headers=[("content-type", "image/png")])
    assert "body" not in built
    assert built["isBase64Encoded"] is False


def test_a_result_with_status_is_an_answer() -> None:
    answer = read_answer(
        json.dumps(
            {
                "statusCode": 201,
                "headers": {"X-One": "1", "Content-Type": "text/html", "Content-Length": "9"},
                "cookies": ["a=1; Secure", "b=2"],
                "body": "é",
            }
        ).encode()
    )
    assert answer.status == 201
    assert answer.headers == [
        ("x-one", "1"),
        ("content-type", "text/html"),
        ("set-cookie", "a=1; Secure"),
        ("set-cookie", "b=2"),
    ]
    assert answer.body == "é".encode()


def test_what_a_result_leaves_out() -> None:
    assert read_answer(b'{"statusCode": 202}').headers == [("content-type", "application/json")]
    assert read_answer(b'{"statusCode": "204", "body": "x"}').body == b""
    assert read_answer(b'{"statusCode": 200, "body": {"a": 1}}').body == b'{"a": 1}'
    assert read_answer(b'{"statusCode": 200, "body": "/w==", "isBase64Encoded": true}').body == (
        b"\xff"
    )


@pytest.mark.parametrize("payload", [b'{"message": "hi"}', b'"hi"', b"null", b"[1, 2]"])
def test_a_result_without_status_is_the_body(payload: bytes) -> None:
    answer = read_answer(payload)
    assert (answer.status, answer.body) == (200, payload)
    assert answer.headers == [("content-type", "application/json")]


@pytest.mark.parametrize(
    "result",
    [
        {"statusCode": "abc"},
        {"statusCode": True},
        {"statusCode": None},
        {"statusCode": 99},
        {"statusCode": 600},
        {"statusCode": 200, "headers": ["a"]},
        {"statusCode": 200, "headers": {"a": "x\r\nset-cookie: b"}},
        {"statusCode": 200, "headers": {"a": ["b"]}},
        {"statusCode": 200, "body": "no base64!", "isBase64Encoded": True},
    ],
)
def test_a_result_that_http_cannot_carry_is_invalid(result: dict[str, object]) -> None:
    with pytest.raises(InvalidAnswerError):
        read_answer(json.dumps(result).encode())


CORS = Cors(
    allow_origins=("https://a.example",),
    allow_methods=("GET", "POST"),
    allow_headers=("authorization",),
    expose_headers=("x-id",),
    allow_credentials=True,
    max_age_s=60,
)


def test_a_preflight_of_an_allowed_origin() -> None:
    headers = [("Origin", "https://a.example"), ("Access-Control-Request-Method", "POST")]
    assert is_preflight("OPTIONS", headers)
    assert dict(preflight_headers(CORS, headers)) == {
        "access-control-allow-origin": "https://a.example",
        "vary": "Origin",
        "access-control-allow-credentials": "true",
        "access-control-allow-methods": "GET,POST",
        "access-control-allow-headers": "authorization",
        "access-control-max-age": "60",
    }
    assert not is_preflight("OPTIONS", headers[:1])
    assert not is_preflight("POST", headers)


def test_a_preflight_of_another_origin_gets_no_leave() -> None:
    assert preflight_headers(CORS, [("origin", "https://b.example")]) == []
    wildcard = preflight_headers(Cors(allow_origins=("*",)), [("origin", "https://b.example")])
    assert ("access-control-allow-origin", "https://b.example") in wildcard


def test_the_urls_cors_headers_replace_the_functions() -> None:
    given = [("access-control-allow-origin", "*"), ("x-id", "1")]
    allowed = with_cors(CORS, [("origin", "https://a.example")], given)
    assert ("access-control-allow-origin", "https://a.example") in allowed
    assert ("access-control-allow-origin", "*") not in allowed
    assert ("access-control-expose-headers", "x-id") in allowed
    assert with_cors(CORS, [("origin", "https://b.example")], given) == [("x-id", "1")]
