"""From HTTP requests to Redis commands."""

import pytest

from infra.local.gateway.requests import (
    BadRequestError,
    body_command,
    body_commands,
    path_command,
)


def test_numbers_keep_the_text_that_was_written() -> None:
    body = b'["HSET","k",9223372036854775807,0.1,1e21,-0,1.0,true,false]'
    assert body_command(body) == [
        b"HSET",
        b"k",
        b"9223372036854775807",
        b"0.1",
        b"1e21",
        b"-0",
        b"1.0",
        b"true",
        b"false",
    ]


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (b"", "EOF"),
        (b" \n", "EOF"),
        (b'{"SET":"a"}', "expected JSON array"),
        (b'"SET"', "expected JSON array"),
        (b"7", "expected JSON array"),
        (b"[]", "ERR empty command"),
        (b'["SET","a",null]', "ERR null args are not supported"),
        (b'["SET","a",{"b":1}]', 'ERR unsupported arg type: "{": json.Delim'),
        (b'[["SET","a","b"]]', 'ERR unsupported arg type: "[": json.Delim'),
    ],
)
def test_a_body_that_is_no_command_is_refused_in_upstash_words(body: bytes, error: str) -> None:
    with pytest.raises(BadRequestError) as refused:
        body_command(body)
    assert str(refused.value) == error


@pytest.mark.parametrize("body", [b'["SET"', b"SET a b", b'["SET","a",NaN]', b"[" * 100_000])
def test_what_is_not_json_is_refused(body: bytes) -> None:
    with pytest.raises(BadRequestError, match=r"^ERR invalid JSON"):
        body_command(body)


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (b"", "EOF"),
        (b"[]", "ERR empty command"),
        (b'["SET","a","b"]', "expected JSON array"),
        (b'[["SET","a","b"],[]]', "ERR empty command"),
        (b'[["SET","a",null]]', "ERR null args are not supported"),
    ],
)
def test_a_batch_must_be_an_array_of_commands(body: bytes, error: str) -> None:
    with pytest.raises(BadRequestError) as refused:
        body_commands(body)
    assert str(refused.value) == error


def test_text_is_utf_8_and_a_lone_surrogate_becomes_the_replacement_character() -> None:
    assert body_command('["é","\\ud83d\\ude00","a\\ud800b"]'.encode()) == [
        "é".encode(),
        "😀".encode(),
        "a\ufffdb".encode(),
    ]


@pytest.mark.parametrize(
    ("path", "query", "body", "command"),
    [
        (b"/get/foo", b"", b"", [b"get", b"foo"]),
        (b"/set/a%2Fb/c%20d+e", b"", b"", [b"set", b"a/b", b"c d+e"]),
        (b"/set/k/%FF%00", b"", b"", [b"set", b"k", b"\xff\x00"]),
        (b"/set/k", b"EX=100", b"\x00body", [b"set", b"k", b"\x00body", b"EX", b"100"]),
        (b"/set/k/v", b"NX&EX=1+0&_token=t", b"", [b"set", b"k", b"v", b"NX", b"EX", b"1 0"]),
        (b"/hset/k//v", b"", b"", [b"hset", b"k", b"", b"v"]),
        (b"/get/k/", b"", b"", [b"get", b"k"]),
    ],
)
def test_path_form(path: bytes, query: bytes, body: bytes, command: list[bytes]) -> None:
    assert path_command(path, query, body) == command


def test_an_empty_path_holds_no_command() -> None:
    with pytest.raises(BadRequestError, match="ERR empty command"):
        path_command(b"/", b"_token=t", b"")
