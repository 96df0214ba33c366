"""The Upstash REST API on the wire: forms, errors, encodings, tokens, limits."""

import base64
import os
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, cast

import httpx
import pytest
from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import TimeoutError as RedisTimeoutError
from redis.retry import Retry

from infra.local.gateway import Gateway
from infra.local.gateway.commands import READS, SERVED, WRITES
from infra.local.redis_server import RedisServer
from tests.support.redis_stack import RedisStack, redis_stack

READ_ONLY = "read-only-token"
UNAUTHORIZED = (
    "WRONGPASS invalid or missing auth token. "
    "See https://docs.upstash.com/redis/troubleshooting/http_unauthorized for details."
)


@pytest.fixture
def http(redis: RedisStack) -> Iterator[httpx.Client]:
    headers = {"Authorization": f"Bearer {redis.token}"}
    with httpx.Client(base_url=redis.url, headers=headers) as client:
        yield client


def post(http: httpx.Client, command: list[Any], **headers: str) -> tuple[int, Any]:
    response = http.post(
        "/", json=command, headers={k.replace("_", "-"): headers[k] for k in headers}
    )
    return response.status_code, response.json()


def test_body_form(http: httpx.Client) -> None:
    assert post(http, ["SET", "foo", "bar", "EX", 100]) == (200, {"result": "OK"})
    assert post(http, ["get", "foo"]) == (200, {"result": "bar"})
    assert post(http, ["MGET", "foo", "absent"]) == (200, {"result": ["bar", None]})
    assert post(http, ["DEL", "foo"]) == (200, {"result": 1})
    assert post(http, ["HGETALL", "foo"]) == (200, {"result": []})


@pytest.mark.parametrize("method", ["GET", "POST", "PUT"])
def test_path_form(http: httpx.Client, method: str) -> None:
    assert http.request(method, "/set/a%2Fb/c%20d").json() == {"result": "OK"}
    assert post(http, ["GET", "a/b"]) == (200, {"result": "c d"})
    assert http.request(method, "/get/a%2Fb").json() == {"result": "c d"}


def test_head_runs_the_command_and_sends_no_body(http: httpx.Client) -> None:
    response = http.head("/incr/n")
    assert (response.status_code, response.content) == (200, b"")
    assert http.head("/nonsense/n").status_code == 400
    assert post(http, ["GET", "n"]) == (200, {"result": "1"})


def test_a_posted_body_is_the_last_argument_and_the_query_follows_it(http: httpx.Client) -> None:
    binary = bytes(range(256))
    assert http.post("/set/k?EX=100", content=binary).json() == {"result": "OK"}
    assert http.get("/ttl/k").json() == {"result": 100}
    encoded = http.get("/get/k", headers={"Upstash-Encoding": "base64"}).json()["result"]
    assert base64.b64decode(encoded) == binary


def test_base64_encodes_every_string_but_the_status_ok(http: httpx.Client) -> None:
    def b64(text: bytes) -> str:
        return base64.b64encode(text).decode()

    script = "return {ARGV[1], 7, false, {ARGV[2], redis.status_reply('OK')}}"
    headers = {"Upstash_Encoding": "base64"}
    assert post(http, ["SET", "k", "OK"], **headers) == (200, {"result": "OK"})
    assert post(http, ["GET", "k"], **headers) == (200, {"result": b64(b"OK")})
    assert post(http, ["PING"], **headers) == (200, {"result": b64(b"PONG")})
    assert post(http, ["EVAL", script, "0", "a", "é"], **headers) == (
        200,
        {"result": [b64(b"a"), 7, None, [b64("é".encode()), "OK"]]},
    )
    status, body = post(http, ["INCR", "k"], **headers)
    assert (status, body["error"]) == (400, "ERR value is not an integer or out of range")


def test_without_base64_what_is_not_utf_8_is_replaced(http: httpx.Client) -> None:
    http.post("/set/k", content=b"a\xffb")
    assert post(http, ["GET", "k"]) == (200, {"result": "a\ufffdb"})


def test_resp2(http: httpx.Client) -> None:
    headers = {"Upstash-Response-Format": "resp2"}
    response = http.post("/", json=["SET", "k", "é"], headers=headers)
    assert response.content == b"+OK\r\n"
    assert response.headers["content-type"] == "application/octet-stream"
    assert http.get("/get/k", headers=headers).content == "$2\r\né\r\n".encode()
    assert http.get("/get/absent", headers=headers).content == b"$-1\r\n"
    assert http.get("/xread/STREAMS/x/0", headers=headers).content == b"*-1\r\n"
    failed = http.get("/incr/k", headers=headers)
    assert failed.status_code == 400
    assert failed.content == b"-ERR value is not an integer or out of range\r\n"
    batch = [["INCR", "n"], ["CONFIG"], ["MGET", "n", "absent"]]
    content = http.post("/pipeline", json=batch, headers=headers).content
    assert content.startswith(b":1\r\n-ERR Command is not available: 'CONFIG'")
    assert content.endswith(b"*2\r\n$1\r\n1\r\n$-1\r\n")
    assert http.post("/multi-exec", json=[["PING"]], headers=headers).json() == [{"result": "PONG"}]


@pytest.mark.parametrize(
    "headers",
    [
        {"Upstash-Response-Format": "xml"},
        {"Upstash-Encoding": "hex"},
        {"Upstash-Response-Format": "resp2", "Upstash-Encoding": "base64"},
    ],
)
def test_unknown_formats_are_refused(http: httpx.Client, headers: dict[str, str]) -> None:
    response = http.post("/", json=["SET", "k", "v"], headers=headers)
    assert response.status_code == 400
    assert response.json()["error"].startswith("ERR ")
    assert post(http, ["GET", "k"]) == (200, {"result": None})


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (b"", "EOF"),
        (b'{"a":1}', "expected JSON array"),
        (b"[]", "ERR empty command"),
        (b'["GET", null]', "ERR null args are not supported"),
        (b'[["GET","a"]]', 'ERR unsupported arg type: "[": json.Delim'),
        (b'["GET"]', "ERR wrong number of arguments for 'get' command"),
    ],
)
def test_bad_commands_are_400(http: httpx.Client, body: bytes, error: str) -> None:
    response = http.post("/", content=body)
    assert (response.status_code, response.json()) == (400, {"error": error})


def test_bad_json_is_400(http: httpx.Client) -> None:
    for path in ("/", "/pipeline", "/multi-exec"):
        response = http.post(path, content=b'["GET", ')
        assert response.status_code == 400
        assert response.json()["error"].startswith("ERR invalid JSON")


def test_pipeline_answers_each_command_in_its_place(http: httpx.Client) -> None:
    batch = [
        ["SET", "key1", "valuex"],
        ["INCR", "key1"],
        ["SUBSCRIBE", "c"],
        ["GET"],
        ["ZADD", "myset", 11, "item1", 22, "item2"],
    ]
    response = http.post("/pipeline", json=batch)
    assert response.status_code == 200
    assert response.json() == [
        {"result": "OK"},
        {"error": "ERR value is not an integer or out of range"},
        {
            "error": 'ERR Command "SUBSCRIBE" is not allowed in REST or it has a special context '
            "path"
        },
        {"error": "ERR wrong number of arguments for 'get' command"},
        {"result": 2},
    ]


@pytest.mark.parametrize(
    ("bad", "error"),
    [
        (["GET"], "ERR wrong number of arguments for 'get' command"),
        (["CONFIG", "GET", "*"], "ERR Command is not available: 'CONFIG'"),
        (["WATCH", "k"], 'ERR Command "WATCH" is not allowed in REST'),
        (["EXEC"], 'ERR Command "EXEC" is not allowed in REST'),
        ([], "ERR empty command"),
    ],
)
def test_a_transaction_with_a_bad_command_is_discarded_whole(
    http: httpx.Client, bad: list[str], error: str
) -> None:
    response = http.post("/multi-exec", json=[["SET", "k", "v"], bad, ["SET", "k", "w"]])
    assert response.status_code == 400
    assert list(response.json()) == ["error"]
    assert response.json()["error"].startswith(error)
    assert post(http, ["GET", "k"]) == (200, {"result": None})


def test_a_transaction_is_one_step_for_everybody_else(http: httpx.Client) -> None:
    pair = [["INCR", "a"], ["INCR", "b"]]
    look = ["EVAL", "return redis.call('MGET', 'a', 'b')", 0]

    def transact() -> int:
        return http.post("/multi-exec", json=pair).status_code

    def watch() -> bool:
        first, second = http.post("/", json=look).json()["result"]
        return bool(first == second)

    with ThreadPoolExecutor(8) as pool:
        writes = [pool.submit(transact) for _ in range(100)]
        reads = [pool.submit(watch) for _ in range(100)]
        assert {future.result() for future in writes} == {200}
        assert all(future.result() for future in reads)
    assert post(http, ["MGET", "a", "b"]) == (200, {"result": ["100", "100"]})


@pytest.mark.parametrize("name", ["CONFIG", "shutdown", "DEBUG", "SLAVEOF", "SORT", "", "NOSUCH"])
def test_commands_that_upstash_lacks(http: httpx.Client, name: str) -> None:
    status, body = post(http, [name, "a"])
    assert status == 400
    assert body["error"] == (
        f"ERR Command is not available: '{name.upper()}'. "
        "See https://upstash.com/docs/redis/overall/rediscompatibility for details"
    )


@pytest.mark.parametrize(
    "command",
    [
        ["SUBSCRIBE", "c"],
        ["MONITOR"],
        ["MULTI"],
        ["SELECT", "1"],
        ["AUTH", "x"],
        ["BLPOP", "l", 0],
        ["BZPOPMIN", "z", 0],
        ["XREAD", "COUNT", 1, "block", 0, "STREAMS", "x", "$"],
        ["XREADGROUP", "GROUP", "g", "c", "BLOCK", 0, "STREAMS", "x", ">"],
    ],
)
def test_sessions_and_blocking_commands_are_refused(http: httpx.Client, command: list[Any]) -> None:
    status, body = post(http, command)
    assert status == 400
    assert body["error"] == (
        f'ERR Command "{command[0]}" is not allowed in REST or it has a special context path'
    )


def test_a_stream_may_be_called_block(http: httpx.Client) -> None:
    assert post(http, ["XREAD", "STREAMS", "block", "0"]) == (200, {"result": None})


def test_the_read_commands_are_those_of_redis(redis: RedisStack) -> None:
    flags = {
        name.upper().encode(): details["flags"]
        for name, details in cast(dict[str, Any], redis.direct.command()).items()
    }
    served = {name: set(flags[name]) for name in SERVED if name in flags}
    assert len(served) > 140
    assert {name for name, has in served.items() if "readonly" in has} <= READS
    assert {name for name, has in served.items() if "write" in has} <= WRITES
    assert not READS & WRITES
    assert not [name for name, has in served.items() if "admin" in has and name != b"ACL"]


@pytest.mark.parametrize("method", ["DELETE", "PATCH", "OPTIONS"])
def test_other_methods_are_405(http: httpx.Client, method: str) -> None:
    response = http.request(method, "/get/k")
    assert (response.status_code, response.content) == (405, b"")


@pytest.mark.parametrize(
    "headers", [{}, {"Authorization": "Bearer wrong"}, {"Authorization": "Basic {token}"}]
)
def test_a_bad_token_is_401(redis: RedisStack, headers: dict[str, str]) -> None:
    sent = {name: value.format(token=redis.token) for name, value in headers.items()}
    for path in ("/", "/pipeline", "/multi-exec", "/set/k/v", "/_local/stats"):
        response = httpx.request(
            "GET" if path.startswith("/_") else "POST", redis.url + path, headers=sent
        )
        assert (response.status_code, response.json()) == (401, {"error": UNAUTHORIZED})
    assert redis.direct.dbsize() == 0


def test_the_token_may_be_in_the_query(redis: RedisStack) -> None:
    url = f"{redis.url}/set/k/v"
    assert httpx.get(url, params={"_token": redis.token, "EX": 100}).json() == {"result": "OK"}
    assert redis.direct.ttl("k") == 100
    assert httpx.get(url, params={"_token": "wrong"}).status_code == 401


@pytest.fixture(scope="module")
def read_only_stack() -> Iterator[RedisStack]:
    with redis_stack(read_only_token=READ_ONLY) as stack:
        yield stack


def test_a_read_only_token_reads(read_only_stack: RedisStack) -> None:
    read_only_stack.direct.set("k", "v")
    url, headers = read_only_stack.url, {"Authorization": f"Bearer {READ_ONLY}"}
    assert httpx.get(f"{url}/get/k", headers=headers).json() == {"result": "v"}
    assert httpx.get(f"{url}/get/k", params={"_token": READ_ONLY}).json() == {"result": "v"}
    refused: list[list[Any]] = [
        ["SET", "k", "w"],
        ["EVAL", "return 1", 0],
        ["KEYS", "*"],
        ["SCAN", 0],
        ["FLUSHALL"],
    ]
    for command in refused:
        response = httpx.post(url, json=command, headers=headers)
        assert response.status_code == 400
        assert response.json()["error"] == (
            f"NOPERM this user has no permissions to run the '{str(command[0]).lower()}' command "
            "or its subcommand"
        )
    batch = httpx.post(f"{url}/pipeline", json=[["GET", "k"], ["DEL", "k"]], headers=headers)
    assert batch.json()[0] == {"result": "v"}
    assert batch.json()[1]["error"].startswith("NOPERM")
    whole = httpx.post(f"{url}/multi-exec", json=[["GET", "k"], ["DEL", "k"]], headers=headers)
    assert (whole.status_code, whole.json()["error"][:6]) == (400, "NOPERM")
    assert read_only_stack.direct.get("k") == b"v"
    assert httpx.get(f"{url}/_local/stats", headers=headers).status_code == 401


def test_a_command_over_the_limit_is_413_and_a_pipeline_is_limited_command_by_command(
    redis: RedisStack,
) -> None:
    with Gateway(redis.redis_port, max_request_bytes=1000) as gateway:
        headers = {"Authorization": f"Bearer {gateway.token}"}
        with httpx.Client(base_url=gateway.url, headers=headers) as http:
            assert post(http, ["SET", "k", "x" * 996]) == (200, {"result": "OK"})
            status, body = post(http, ["SET", "k", "y" * 997])
            assert status == 413
            assert body["error"].startswith(
                "ERR max request size exceeded. Limit: 1000 bytes, Actual: 1001 bytes."
            )
            batch = [["APPEND", "k", "x" * 900]] * 3 + [["APPEND", "k", "y" * 1000]]
            response = http.post("/pipeline", json=batch)
            assert response.status_code == 200
            assert [list(item) for item in response.json()] == [["result"]] * 3 + [["error"]]
            assert http.post("/multi-exec", json=batch).status_code == 413
            assert http.post("/", content=b" " * 8001).status_code == 413
    assert redis.direct.get("k") == b"x" * (996 + 2700)


def test_the_sync_token_moves_with_writes_only(http: httpx.Client) -> None:
    def token(command: list[str]) -> str:
        return http.post("/", json=command).headers["Upstash-Sync-Token"]

    written = token(["SET", "k", "v"])
    assert token(["GET", "k"]) == written
    assert token(["SET", "k", "w"]) != written


def test_stats_count_requests_and_commands_and_what_scripts_call(
    redis: RedisStack, http: httpx.Client
) -> None:
    script = (
        "redis.call('SET', KEYS[1], 1); redis.call('GET', KEYS[1]); return redis.call('GET', 'z')"
    )
    post(http, ["EVAL", script, 1, "k"])
    http.post("/pipeline", json=[["GET", "k"], ["GET"], ["CONFIG", "GET", "*"]])
    http.post("/multi-exec", json=[["INCR", "n"], ["INCR", "n"]])
    http.post("/multi-exec", json=[["INCR", "n"], ["GET"]])
    http.get("/get/k", headers={"Authorization": "Bearer wrong"})
    assert redis.stats() == {
        "http_requests": 5,
        "commands": {"eval": 1, "get": 3, "incr": 3},
        "script_commands": {"set": 1, "get": 2},
    }
    redis.reset_stats()
    assert redis.stats() == {"http_requests": 0, "commands": {}, "script_commands": {}}


def test_parallel_requests_each_get_their_own_answer(http: httpx.Client) -> None:
    def echo(number: int) -> bool:
        text = f"{number}:" + "é" * (number * 37 % 5000)
        answers = http.post("/pipeline", json=[["ECHO", text], ["EVAL", "return ARGV", 0, text]])
        return bool(answers.json() == [{"result": text}, {"result": [text]}])

    with ThreadPoolExecutor(32) as pool:
        assert all(pool.map(echo, range(200)))


def test_big_replies_arrive_whole(http: httpx.Client) -> None:
    values = [f"value-{number}" for number in range(50_000)]
    assert post(http, ["RPUSH", "l", *values]) == (200, {"result": 50_000})
    assert post(http, ["LRANGE", "l", 0, -1]) == (200, {"result": values})


def test_redis_away_is_503_and_its_return_is_noticed() -> None:
    with RedisServer() as first:
        port = first.port
        with Gateway(port) as gateway:
            headers = {"Authorization": f"Bearer {gateway.token}"}
            with httpx.Client(base_url=gateway.url, headers=headers) as http:
                assert post(http, ["PING"]) == (200, {"result": "PONG"})
                first.stop()
                status, body = post(http, ["PING"])
                assert status == 503
                assert body["error"].startswith("ERR cannot connect to Redis")
                assert http.post("/pipeline", json=[["PING"]]).status_code == 503
                with RedisServer(port):
                    assert post(http, ["PING"]) == (200, {"result": "PONG"})


def test_a_request_under_way_when_redis_dies_is_answered_503() -> None:
    with RedisServer() as server, Gateway(server.port) as gateway:
        headers = {"Authorization": f"Bearer {gateway.token}"}
        with httpx.Client(base_url=gateway.url, headers=headers) as http:
            post(http, ["PING"])
            forever = http.build_request("POST", "/", json=["EVAL", "while true do end", 0])
            with ThreadPoolExecutor(1) as pool:
                answer = pool.submit(http.send, forever)
                wait_until_busy(server.port)
                os.kill(server.pid, signal.SIGKILL)
                response = answer.result()
        assert response.status_code == 503
        assert response.json() == {"error": "ERR the connection to Redis was lost"}


def wait_until_busy(port: int) -> None:
    """Until the Redis on `port` answers nobody, since it runs a script."""
    deadline = time.monotonic() + 10
    with Redis(port=port, socket_timeout=0.05, retry=Retry(NoBackoff(), 0)) as direct:
        while time.monotonic() < deadline:
            try:
                direct.ping()
            except RedisTimeoutError:
                return
    raise AssertionError("the script did not start")
