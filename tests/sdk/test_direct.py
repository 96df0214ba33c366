"""Direct mode: answer by answer what the function says, and nothing but checks goes that way."""

import asyncio
import base64
import os
import subprocess
import sys
import time
from dataclasses import asdict
from random import Random
from urllib.parse import parse_qs, urlsplit

import pytest
from tollkeeper import (
    AsyncTollkeeper,
    BlockedError,
    Tollkeeper,
    TollkeeperError,
    UnavailableError,
)

from tests.sdk.real_tollkeeper import KEY, config, real_tollkeeper
from tests.support.bad_server import server

TIERS = {
    "pro": {"rank": 1, "limits": {"daily": {"limit_usd": "0.04"}, "weekly": {"limit_usd": "0.1"}}},
    "hard": {"limits": {"monthly": {"limit_usd": "0.02", "hard": True}}},
    "soft": {"limits": {"daily": {"limit_usd": "0.01"}}, "enforcement": "soft"},
    "closed": {"limits": {}, "outage": "block"},
}
NOBODY = "http://127.0.0.1:9"
SILENT = 0.3


@pytest.fixture(scope="module")
def real(redis_stack):
    with real_tollkeeper(redis_stack, config("0.01", **TIERS)) as real:
        yield real


@pytest.fixture(scope="module")
def redis(redis_stack):
    return {"redis_url": redis_stack.url, "redis_token": redis_stack.token}


@pytest.fixture
def direct(real, redis):
    with Tollkeeper(real.url, KEY, timeout_s=10, **redis) as tk:
        yield tk


@pytest.fixture
def by_url(real):
    with Tollkeeper(real.url, KEY, timeout_s=10) as tk:
        yield tk


def answer(tk, **request):
    """A check's whole answer, as data; of a link what it claims, for each is signed anew."""
    try:
        return asdict(tk.check(**request))
    except BlockedError as block:
        link = block.upgrade_url
        return {**block.raw, "upgrade_url": link and claims(link)}
    except TollkeeperError as error:
        return str(error)


def claims(link):
    """All but when it ends and the signature: the token is JSON between a head and a digest."""
    token = parse_qs(urlsplit(link).query)["t"][0]
    raw = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))[5:-32].decode()
    (expires,) = [part for part in raw.strip("[]").split(",") if part.isdigit() and len(part) == 13]
    return raw.replace(expires, "")


def requests(seed):
    """What an app may ask, wrong things included; few users, so that they come to their limits."""
    rng = Random(seed)
    for number in range(150):
        request = {
            "user_id": rng.choice([f"ada{seed}", f"bøb/{seed}", f"eve {seed}", "x" * 129]),
            "tier": rng.choice([None, "free", "pro", "hard", "soft", "gold", "not a tier"]),
            "request_id": f"{seed}-{number}",
        }
        match rng.randrange(5):
            case 0:
                request["amount_usd"] = rng.choice(["0.001", "0.004", "0.05", "0", "2000000"])
            case 1 | 2:
                request["provider"] = rng.choice([None, "openai"])
                request["model"] = rng.choice(["gpt-4o-mini", "no-such-model"])
                request["input_tokens"] = rng.choice([0, 1_000, 100_000, -1, 10**10])
                request["max_output_tokens"] = rng.choice([None, 500, 20_000])
            case 3:
                request["max_output_tokens"] = 5  # tokens without a model
        yield request


def test_both_modes_give_the_same_answer(direct, by_url, real):
    seen, rng = [], Random(7)
    for request in [request for seed in range(4) for request in requests(seed)]:
        modes = [direct, by_url]
        rng.shuffle(modes)  # the second one repeats what the first has asked
        one, other = (answer(tk, **request) for tk in modes)
        assert one == other, request
        seen.append(one)
        if isinstance(one, dict) and one.get("reservation_id") and rng.random() < 0.7:
            cost = rng.choice(["0", "0.0015", "0.003"])
            by_url.report(
                user_id=request["user_id"], reservation_id=one["reservation_id"], cost_usd=cost
            )
            assert by_url.flush(10)
            real.settle()
        if len(request["user_id"]) < 129:
            user = request["user_id"]
            assert direct.get_usage(user) == by_url.get_usage(user)
    codes = {each["reason"]["code"] for each in seen if isinstance(each, dict) and "reason" in each}
    assert codes == {"limit_reached", "hard_limit_reached", "unknown_model"}
    assert any(isinstance(each, dict) and each.get("warnings") for each in seen)
    assert len({each for each in seen if isinstance(each, str)}) >= 5


def test_equal_requests_without_an_id_hold_twice(direct, real):
    for _ in range(2):
        direct.check(user_id="twice", amount_usd="0.004")
    assert real.counters("twice").held_total_nano == 8_000_000


def test_a_warm_check_is_one_request_to_redis_and_none_to_the_function(real, redis, redis_stack):
    with Tollkeeper(NOBODY, KEY, timeout_s=10, **redis) as tk:
        tk.check(user_id="warm", amount_usd="0.001")
        redis_stack.reset_stats()
        for _ in range(3):
            tk.check(user_id="warm", amount_usd="0.001")
    assert redis_stack.stats()["http_requests"] == 3


def test_usage_goes_to_the_function_and_settles_from_its_queue(direct, real):
    with direct.meter(user="metered", amount_usd="0.004") as meter:
        meter.report(cost_usd="0.003")
    assert direct.flush(10)
    before = real.counters("metered")
    assert (before.total_nano, before.held_total_nano) == (0, 4_000_000)
    (event,) = real.settle()
    assert event["cost_usd"] == "0.003"
    after = real.counters("metered")
    assert (after.total_nano, after.held_total_nano) == (3_000_000, 0)


def test_a_block_stands_without_a_link_when_the_function_is_away(real, redis):
    for url in (NOBODY, "http://127.0.0.1:9/more"):
        with (
            Tollkeeper(url, KEY, timeout_s=5, outage="allow", **redis) as tk,
            pytest.raises(BlockedError) as caught,
        ):
            tk.check(user_id="stopped", amount_usd="0.02")
        assert caught.value.upgrade_url is None
        assert caught.value.reason == "limit_reached"


ALLOW = b'{"decision":"allow","degraded":true,"reservation_id":"r"}'


def allows(connection, _number):
    """As a function does that is cut off from Redis."""
    head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(ALLOW)}"
    connection.sendall(head.encode() + b"\r\n\r\n" + ALLOW)


def hangs(connection, _number):
    connection.recv(1)


@pytest.mark.parametrize("function", [allows, hangs])
def test_a_block_stands_whatever_the_function_does(real, redis, function):
    with (
        server(function) as (url, seen),
        Tollkeeper(url, KEY, timeout_s=1, outage="allow", **redis) as tk,
    ):
        while tk.check(user_id="stopped", amount_usd="0").degraded:
            pass  # the first may take longer than this test's short deadline
        with pytest.raises(BlockedError) as caught:
            tk.check(user_id="stopped", amount_usd="0.02")
    assert len(seen) == 1
    assert caught.value.upgrade_url is None


def test_a_slow_redis_leaves_the_function_less_time_for_the_link(real, redis, monkeypatch):
    with (
        server(hangs) as (url, _),
        Tollkeeper(url, KEY, timeout_s=1, outage="allow", **redis) as tk,
    ):
        while tk.check(user_id="stopped", amount_usd="0").degraded:
            pass
        core = tk._core.engine._core
        at_once = core.check
        monkeypatch.setattr(core, "check", lambda body: time.sleep(0.6) or at_once(body))
        with pytest.raises(BlockedError):
            tk.check(user_id="stopped", amount_usd="0.02")


def test_an_outage_before_anything_was_read_is_the_clients_policy(real):
    with server(hangs) as (url, seen):
        given = {"timeout_s": SILENT, "redis_url": url, "redis_token": "t"}
        with Tollkeeper(real.url, KEY, outage="allow", **given) as tk:
            assert [tk.check(user_id="ada", amount_usd="1").degraded for _ in range(20)] == [
                True
            ] * 20
        # Three until the circuit opens, and one when its first rest is over.
        assert 3 <= len(seen) <= 4
        with Tollkeeper(real.url, KEY, outage="block", **given) as tk:
            with pytest.raises(UnavailableError):
                tk.check(user_id="ada", amount_usd="1")
            with pytest.raises(UnavailableError):
                tk.get_usage("ada")


def test_an_outage_later_is_the_tiers_policy_and_its_grace(real, redis):
    with (
        server(hangs) as (url, seen),
        Tollkeeper(real.url, KEY, timeout_s=SILENT, outage="allow", **redis) as tk,
    ):
        while tk.check(user_id="cut off", amount_usd="0.001").degraded:
            pass  # the first ones may take longer than this test's short deadline
        connections = tk._core.engine._core._redis._http
        connections.close()
        connections._port = urlsplit(url).port
        allowed = [tk.check(user_id="cut off", amount_usd="0.004") for _ in range(2)]
        assert all(each.degraded and each.reservation_id for each in allowed)
        with pytest.raises(UnavailableError):  # the grace is the lowest limit, a cent
            tk.check(user_id="cut off", amount_usd="0.004")
        with pytest.raises(UnavailableError):
            tk.check(user_id="cut off", tier="closed", amount_usd="0.001")
        assert 3 <= len(seen) <= 4
        connections._port = urlsplit(redis["redis_url"]).port
        connections._circuit.succeeded()
        assert not tk.check(user_id="cut off", amount_usd="0.001").degraded


def test_in_an_event_loop(real, redis):
    async def ask():
        async with AsyncTollkeeper(real.url, KEY, timeout_s=10, **redis) as tk:
            asked = [tk.check(user_id=f"loop{n}", amount_usd="0.006") for n in range(40)]
            first = await asyncio.gather(*asked)
            with pytest.raises(BlockedError) as caught:
                await tk.check(user_id="loop0", amount_usd="0.006")
            return first, caught.value, await tk.get_usage("loop0")

    first, block, usage = asyncio.run(ask())
    assert len({each.reservation_id for each in first}) == 40
    assert urlsplit(block.upgrade_url).netloc == "page.test"
    assert usage.tier == "free"


def test_a_wrong_key_is_refused_as_the_function_does(real, redis):
    wrong = "tk_sdk_" + "w" * 32
    with (
        Tollkeeper(real.url, wrong, timeout_s=10, **redis) as tk,
        Tollkeeper(real.url, wrong, timeout_s=10) as by_url,
    ):
        for ask in ("check", "get_usage"):
            given = {"amount_usd": "0.001", "user_id": "ada"} if ask == "check" else {"user": "ada"}
            with pytest.raises(TollkeeperError) as one:
                getattr(tk, ask)(**given)
            with pytest.raises(TollkeeperError) as other:
                getattr(by_url, ask)(**given)
            assert str(one.value) == str(other.value)


FORKED = """
import os, sys
from tollkeeper import Tollkeeper
url, key, redis_url, redis_token = sys.argv[1:]
with Tollkeeper(url, key, timeout_s=10, redis_url=redis_url, redis_token=redis_token) as tk:
    assert not tk.check(user_id="parent", amount_usd="0.001").degraded
    child = os.fork()
    if not child:
        ok = not tk.check(user_id="child", amount_usd="0.002").degraded
        os._exit(0 if ok else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert not tk.check(user_id="parent", amount_usd="0.001").degraded
names = {"boto3", "stripe", "aws_lambda_powertools", "jinja2", "mangum", "starlette"}
assert not names & set(sys.modules), names & set(sys.modules)
"""


def test_a_forked_worker_checks_too_and_nothing_of_the_functions_is_imported(real, redis):
    """An app gets tollkeeper-core without what only the functions need."""
    command = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", FORKED]
    done = subprocess.run(
        [*command, real.url, KEY, redis["redis_url"], redis["redis_token"]],
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    held = real.counters("parent").held_total_nano, real.counters("child").held_total_nano
    assert held == (2_000_000, 2_000_000)


def test_settings_that_cannot_be(monkeypatch):
    for given in ({"redis_url": "http://x"}, {"redis_token": "t"}):
        with pytest.raises(ValueError, match="go together"):
            Tollkeeper("http://x", KEY, **given)
    with pytest.raises(ValueError, match="URL"):
        Tollkeeper("http://x", KEY, redis_url="redis://x", redis_token="t")
    monkeypatch.setitem(sys.modules, "tollkeeper_core.direct", None)
    with pytest.raises(ValueError, match=r"tollkeeper\[direct\]"):
        Tollkeeper("http://x", KEY, redis_url="http://x", redis_token="t")
