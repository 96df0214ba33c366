"""The real `upstash-redis` client, sync and async, unchanged, against the gateway."""

import asyncio
import hashlib
import inspect
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import upstash_redis
import upstash_redis.asyncio
from upstash_redis.errors import UpstashError

from tests.support.redis_stack import RedisStack

# The client's methods differ between its two flavours only in being awaitable.
Client = Any
Do = Callable[[Any], Any]

SCRIPT = """
local total = redis.call('HINCRBY', KEYS[1], 'n', ARGV[1])
return {total, ARGV[2], false, {redis.call('HGET', KEYS[1], 'n')}}
"""


def sha1(text: str) -> str:
    return hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()


@pytest.fixture(params=["sync", "async"])
def flavour(request: pytest.FixtureRequest) -> Iterator[tuple[Callable[..., Client], Do]]:
    """A maker of clients that are closed after the test, and a caller that gives their results."""
    clients: list[Client] = []
    with asyncio.Runner() as runner:

        def do(result: Any) -> Any:
            async def wait() -> Any:
                return await result

            return runner.run(wait()) if inspect.isawaitable(result) else result

        def make(stack: RedisStack, **options: Any) -> Client:
            kind = upstash_redis if request.param == "sync" else upstash_redis.asyncio
            clients.append(kind.Redis(stack.url, stack.token, rest_retries=0, **options))
            return clients[-1]

        yield make, do
        for client in clients:
            do(client.close())


@pytest.fixture
def do(flavour: tuple[Callable[..., Client], Do]) -> Do:
    return flavour[1]


@pytest.fixture(params=["base64", None])
def client(
    flavour: tuple[Callable[..., Client], Do], redis: RedisStack, request: pytest.FixtureRequest
) -> Client:
    """A client with each of the encodings that it knows."""
    return flavour[0](redis, rest_encoding=request.param)


def test_strings(client: Client, do: Do) -> None:
    assert do(client.ping()) == "PONG"
    assert do(client.set("k", "v", ex=100)) is True
    assert do(client.get("k")) == "v"
    assert 0 < do(client.ttl("k")) <= 100
    assert do(client.get("absent")) is None
    assert do(client.set("k", "other", nx=True)) is False
    assert do(client.mget("k", "absent")) == ["v", None]
    assert do(client.incrby("n", 2**62)) == 2**62
    assert do(client.incrbyfloat("f", 0.1)) == 0.1
    assert do(client.type("k")) == "string"
    assert do(client.delete("k", "n", "absent")) == 2


@pytest.mark.parametrize(
    "value", ["", "OK", "é😀\u2028", 'a"b\\c\r\nd\x00e', "T0s=", " ", "null", "x" * 200_000]
)
def test_any_text_comes_back_as_it_was(client: Client, do: Do, value: str) -> None:
    assert do(client.set(f"k:{value[:20]}", value)) is True
    assert do(client.get(f"k:{value[:20]}")) == value
    assert do(client.echo(value)) == value


def test_hashes(client: Client, do: Do) -> None:
    assert do(client.hset("h", values={"a": "1", "é": "2"})) == 2
    assert do(client.hgetall("h")) == {"a": "1", "é": "2"}
    assert do(client.hmget("h", "a", "absent")) == ["1", None]
    assert do(client.hincrby("h", "a", 41)) == 42
    assert do(client.hgetall("absent")) == {}
    assert do(client.hdel("h", "a", "absent")) == 1


def test_sorted_sets(client: Client, do: Do) -> None:
    assert do(client.zadd("z", {"a": 1, "b": 2.5, "c": -1})) == 3
    assert do(client.zrange("z", 0, -1, withscores=True)) == [("c", -1.0), ("a", 1.0), ("b", 2.5)]
    assert do(client.zscore("z", "b")) == 2.5
    assert do(client.zrangebyscore("z", "-inf", "(1")) == ["c"]
    assert do(client.zpopmin("z")) == [("c", -1.0)]


def test_lists_and_sets(client: Client, do: Do) -> None:
    assert do(client.rpush("l", "a", "b", "c")) == 3
    assert do(client.lrange("l", 0, -1)) == ["a", "b", "c"]
    assert do(client.lpop("absent")) is None
    assert do(client.sadd("s", "a", "b")) == 2
    assert sorted(do(client.smembers("s"))) == ["a", "b"]
    assert do(client.sismember("s", "a")) is True


def test_streams(client: Client, do: Do) -> None:
    first = do(client.xadd("x", "*", {"f": "1"}))
    second = do(client.xadd("x", "*", {"f": "2"}))
    assert do(client.xrange("x", "-", "+")) == [[first, ["f", "1"]], [second, ["f", "2"]]]
    assert do(client.xread({"x": first})) == [["x", [[second, ["f", "2"]]]]]
    assert do(client.xlen("x")) == 2


def test_scripts(client: Client, do: Do, redis: RedisStack) -> None:
    redis.flush_scripts()
    with pytest.raises(UpstashError, match=r"^NOSCRIPT No matching script"):
        do(client.evalsha(sha1(SCRIPT), ["h"], ["5", "é"]))
    assert do(client.eval(SCRIPT, ["h"], ["5", "é"])) == [5, "é", None, ["5"]]
    assert do(client.evalsha(sha1(SCRIPT), ["h"], ["5", "é"])) == [10, "é", None, ["10"]]
    assert do(client.script_load("return 1")) == sha1("return 1")
    assert do(client.script_exists(sha1(SCRIPT), sha1("return 2"))) == [True, False]


@pytest.mark.parametrize("flags", ["flags=allow-key-locking", "flags=no-writes,allow-key-locking"])
def test_scripts_with_a_shebang(client: Client, do: Do, redis: RedisStack, flags: str) -> None:
    script = f"#!lua {flags}\nreturn redis.call('GET', KEYS[1])"
    redis.flush_scripts()
    do(client.set("k", "v"))
    with pytest.raises(UpstashError, match=r"^NOSCRIPT"):
        do(client.evalsha(sha1(script), ["k"]))
    assert do(client.eval(script, ["k"])) == "v"
    assert do(client.evalsha(sha1(script), ["k"])) == "v"
    redis.flush_scripts()
    assert do(client.script_exists(sha1(script))) == [False]
    with pytest.raises(UpstashError, match=r"^NOSCRIPT"):
        do(client.evalsha(sha1(script), ["k"]))
    assert do(client.script_load(script)) == sha1(script)
    assert do(client.script_exists(sha1(script))) == [True]
    assert do(client.evalsha(sha1(script), ["k"])) == "v"


def test_a_script_error_names_the_line_of_the_text_that_was_sent(client: Client, do: Do) -> None:
    with pytest.raises(UpstashError, match=r"user_script:3: boom"):
        do(client.eval("#!lua flags=allow-key-locking\n\nerror('boom')"))


def test_pipeline(client: Client, do: Do) -> None:
    pipeline = client.pipeline()
    pipeline.set("k", "1")
    pipeline.incr("k")
    pipeline.hgetall("absent")
    pipeline.eval(SCRIPT, ["h"], ["1", "b"])
    assert do(pipeline.exec()) == [True, 2, {}, [1, "b", None, ["1"]]]


def test_one_bad_command_does_not_stop_a_pipeline(client: Client, do: Do) -> None:
    do(client.set("k", "text"))
    pipeline = client.pipeline()
    pipeline.set("before", "1")
    pipeline.incr("k")
    pipeline.set("after", "1")
    with pytest.raises(UpstashError, match=r"^ERR value is not an integer or out of range"):
        do(pipeline.exec())
    assert do(client.mget("before", "after")) == ["1", "1"]


def test_transaction(client: Client, do: Do) -> None:
    transaction = client.multi()
    transaction.set("k", "é")
    transaction.get("k")
    transaction.incr("n")
    transaction.script_load("#!lua\nreturn 1")
    assert do(transaction.exec()) == [True, "é", 1, sha1("#!lua\nreturn 1")]


def test_an_error_at_run_time_does_not_undo_a_transaction(client: Client, do: Do) -> None:
    do(client.set("k", "text"))
    transaction = client.multi()
    transaction.incr("k")
    transaction.set("after", "1")
    with pytest.raises(UpstashError, match=r"^ERR value is not an integer"):
        do(transaction.exec())
    assert do(client.get("after")) == "1"


def test_errors_are_those_of_redis(client: Client, do: Do) -> None:
    do(client.set("k", "text"))
    with pytest.raises(UpstashError, match=r"^WRONGTYPE Operation against a key"):
        do(client.hget("k", "f"))
    with pytest.raises(UpstashError, match=r"^ERR wrong number of arguments for 'get' command"):
        do(client.execute(["GET"]))


def test_a_warm_call_is_one_http_request(client: Client, do: Do, redis: RedisStack) -> None:
    do(client.eval(SCRIPT, ["h"], ["1", "x"]))
    redis.reset_stats()
    do(client.evalsha(sha1(SCRIPT), ["h"], ["1", "x"]))
    assert redis.stats() == {
        "http_requests": 1,
        "commands": {"evalsha": 1},
        "script_commands": {"hincrby": 1, "hget": 1},
    }


def test_the_async_client_in_parallel(redis: RedisStack) -> None:
    async def many() -> tuple[list[Any], list[Any], Any]:
        async with upstash_redis.asyncio.Redis(redis.url, redis.token, rest_retries=0) as client:
            echoes = await asyncio.gather(*(client.echo(f"é{n}") for n in range(200)))
            totals = await asyncio.gather(
                *(client.eval(SCRIPT, ["h"], ["1", str(n)]) for n in range(200))
            )
            return echoes, totals, await client.hget("h", "n")

    echoes, totals, final = asyncio.run(many())
    assert echoes == [f"é{n}" for n in range(200)]
    assert sorted(total[0] for total in totals) == list(range(1, 201))
    assert [total[1] for total in totals] == [str(n) for n in range(200)]
    assert final == "200"
    assert redis.stats()["http_requests"] == 401
