"""What an outage does, and that usage arrives exactly once."""

import os
import socket
import subprocess
import sys
import threading
import time
from decimal import Decimal

import pytest
from tollkeeper import BlockedError, Tollkeeper, TollkeeperError, UnavailableError
from tollkeeper._asking import Check, Identity, Rates, ask_capped, drive
from tollkeeper._types import Allowed

from tests.support.scripted_tollkeeper import KEY, RESETS_AT


@pytest.fixture
def silent():
    """An address that accepts and never answers."""
    with socket.create_server(("127.0.0.1", 0), backlog=100) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


def check(tk):
    return tk.check(user_id="ada", amount_usd="0.01")


@pytest.mark.parametrize(
    "broken",
    [
        (500, {}, "application/json"),
        (200, "nonsense", "text/html"),
        (200, {"decision": "perhaps"}, "application/json"),
        (429, {}, "application/json"),
    ],
)
def test_an_answer_that_is_none_is_an_outage(api, broken):
    api.broken["/v1/check"] = broken
    with Tollkeeper(api.url, KEY, timeout_s=5) as tk:
        assert check(tk).degraded
    blocking = Tollkeeper(api.url, KEY, timeout_s=5, outage="block")
    with blocking as tk, pytest.raises(UnavailableError):
        check(tk)


def test_the_deadline_holds_and_the_breaker_ends_the_waiting(silent):
    tk = Tollkeeper(silent, KEY, timeout_s=0.3)
    began = time.monotonic()
    for _ in range(3):
        assert check(tk).degraded
    assert 0.8 < time.monotonic() - began < 3
    began = time.monotonic()
    for _ in range(50):
        assert check(tk).degraded
    assert time.monotonic() - began < 0.3
    tk.close(0)


def test_a_wrong_key_is_an_error_whatever_the_policy(api):
    with Tollkeeper(api.url, "tk_wrong", timeout_s=5) as tk, pytest.raises(TollkeeperError) as e:
        check(tk)
    assert not isinstance(e.value, UnavailableError)
    api.broken["/v1/check"] = (422, {"detail": "tier"}, "application/problem+json")
    with Tollkeeper(api.url, KEY, timeout_s=5) as tk, pytest.raises(TollkeeperError, match="tier"):
        check(tk)


def test_usage_waits_for_the_end_of_an_outage_within_its_bound(api):
    api.broken["/v1/usage"] = (500, {}, "application/json")
    with Tollkeeper(api.url, KEY, timeout_s=5, max_queue=150) as tk:
        for number in range(160):
            tk.report(user_id="ada", event_id=f"e{number}", cost_usd="0.01")
        assert not tk.flush(0.3)
        assert (tk.stats().pending, tk.stats().dropped) == (150, 10)
        api.broken.clear()
        assert tk.flush(5)
        assert [e["event_id"] for e in api.events] == [f"e{n}" for n in range(150)]
        assert max(map(len, api.batches)) == 100
        assert tk.stats().delivered == 150


def test_a_rejected_event_is_counted_and_does_not_hold_up_the_others(api):
    api.rejected = {"bad"}
    with Tollkeeper(api.url, KEY, timeout_s=5) as tk:
        for event_id in ("bad", "good"):
            tk.report(user_id="ada", event_id=event_id, cost_usd=Decimal("0.01"))
        assert tk.flush(5)
        assert (tk.stats().rejected, tk.stats().delivered) == (1, 1)


def test_a_failed_event_is_sent_again_with_its_id(api):
    failed = {"results": [{"event_id": "e", "status": "failed"}]}
    api.broken["/v1/usage"] = (202, failed, "application/json")
    with Tollkeeper(api.url, KEY, timeout_s=5) as tk:
        tk.report(user_id="ada", event_id="e", cost_usd="0.01")
        assert not tk.flush(0.3)
        api.broken.clear()
        assert tk.flush(5)
    assert [e["event_id"] for e in api.events] == ["e"]


def test_a_thousand_calls_in_fifty_threads_are_each_reported_once(api):
    with Tollkeeper(api.url, KEY, timeout_s=20) as tk:

        def work(thread):
            for number in range(20):
                with tk.meter(user=f"u{thread}-{number}", amount_usd="0.01") as meter:
                    meter.report(cost_usd="0.001")

        threads = [threading.Thread(target=work, args=(n,)) for n in range(50)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    users = [event["user_id"] for event in api.events]
    assert sorted(users) == sorted(f"u{t}-{n}" for t in range(50) for n in range(20))
    assert len({event["event_id"] for event in api.events}) == 1_000
    assert all("reservation_id" in event for event in api.events)


def run(code, **variables):
    return subprocess.Popen([sys.executable, "-c", code], env={**os.environ, **variables})


def test_a_process_that_exits_at_once_loses_nothing(api):
    code = "from tollkeeper import Tollkeeper\ntk = Tollkeeper(timeout_s=10)\n"
    code += "for n in range(250): tk.report(user_id=str(n), cost_usd='0.01')\n"
    code += "m = tk.meter(user='open', amount_usd='0.02'); m.__enter__()\n"
    process = run(code, TOLLKEEPER_URL=api.url, TOLLKEEPER_API_KEY=KEY)
    assert process.wait(30) == 0
    users = [event["user_id"] for event in api.events]
    assert sorted(users) == sorted([*map(str, range(250)), "open"])
    (unsettled,) = [e for e in api.events if e["user_id"] == "open"]
    assert unsettled["estimated"] is True
    assert unsettled["cost_usd"] == "0.03"


def test_a_killed_process_leaves_its_usage_in_the_spool(api, tmp_path, silent):
    code = "import os, signal, sys\nfrom tollkeeper import Tollkeeper\n"
    code += "tk = Tollkeeper(spool_dir=sys.argv[1] if sys.argv[1:] else os.environ['SPOOL'])\n"
    code += "for n in range(5): tk.report(user_id='ada', event_id=f'e{n}', cost_usd='0.01')\n"
    code += "os.kill(os.getpid(), signal.SIGKILL)\n"
    names = {"TOLLKEEPER_URL": silent, "TOLLKEEPER_API_KEY": KEY, "SPOOL": str(tmp_path)}
    assert run(code, **names).wait(30) == -9
    with Tollkeeper(api.url, KEY, timeout_s=5, spool_dir=tmp_path) as tk:
        assert tk.flush(5)
    assert sorted(e["event_id"] for e in api.events) == [f"e{n}" for n in range(5)]
    assert list(tmp_path.iterdir()) == []


def test_a_fork_reports_its_own_calls_and_not_its_parents(api):
    code = "import os\nfrom tollkeeper import Tollkeeper\ntk = Tollkeeper(timeout_s=10)\n"
    code += "tk.check(user_id='p', amount_usd='0.01')\n"
    code += "m = tk.meter(user='open', amount_usd='0.02'); m.__enter__()\n"
    code += "pid = os.fork()\nname = 'parent' if pid else 'child'\n"
    code += "tk.check(user_id=name, amount_usd='0.01')\ntk.report(user_id=name, cost_usd='0.01')\n"
    code += "os.waitpid(pid, 0) if pid else None\n"
    process = run(code, TOLLKEEPER_URL=api.url, TOLLKEEPER_API_KEY=KEY)
    assert process.wait(30) == 0
    assert sorted(e["user_id"] for e in api.events) == ["child", "open", "parent"]
    assert [c["user_id"] for c in api.checks[:2]] == ["p", "open"]


def test_lambda_flush_delivers_before_the_handler_returns(api, tk):
    @tk.lambda_flush
    def handler(event, context):
        tk.report(user_id="ada", cost_usd="0.01")
        return event

    assert handler(3, None) == 3
    assert len(api.events) == 1


def test_a_meter_charges_what_was_reserved_unless_it_is_told(api, tk):
    with tk.meter(user="silent", amount_usd="0.02"):
        pass
    with pytest.raises(KeyError), tk.meter(user="failed", amount_usd="0.02"):
        raise KeyError
    assert tk.flush(5)
    silent, failed = api.events
    assert (silent["cost_usd"], silent["estimated"]) == ("0.03", True)
    assert failed["status"] == "error"


@pytest.mark.parametrize("affordable", ["0.01004", "0.01006", "0.0105", "0.02", "0.09", "0.2099"])
@pytest.mark.parametrize("least", [1, 100])
def test_a_cap_asks_at_most_thrice_more_and_holds_no_more_than_there_is(affordable, least):
    """Against the arithmetic of a ledger: 10 micro-dollars an input token, 50 an output token."""
    wanted = Check(Identity("ada"), "openai", "m", 1_000, 4_000)
    fit = int((Decimal(affordable) - Decimal("0.01")) * 20_000)
    rates = Rates()
    for expected_asks in (4, 2):  # the price is known from the first time on
        held, asked = [], []

        def ask(check, held=held, asked=asked):
            asked.append(check)
            cost = (check.input_tokens * 10 + check.max_output_tokens * 50) / Decimal(10**6)
            left = Decimal(affordable) - sum(held)
            if cost > left:
                usage = {"tier": "free", "windows": {}, "credits": []}
                reason = {"code": "limit_reached", "window": "daily", "resets_at": RESETS_AT}
                block = {"affordable_usd": str(left), "upgrade_message": "", "usage": usage}
                raise BlockedError({"reason": reason, **block})
            held.append(cost)
            return Allowed(f"r{len(held)}", cost)

        if fit < least:
            with pytest.raises(BlockedError) as caught:
                drive(ask_capped(wanted, rates, least), ask)
            assert caught.value.affordable_usd == Decimal(affordable)
            assert held == []
            continue
        reserved = drive(ask_capped(wanted, rates, least), ask)
        # Of the first time's, one token's worth is held beside.
        assert min(fit, 4_000) - 1 <= max(reserved.max_output_tokens, 1) <= fit
        assert sum(held) <= Decimal(affordable)
        assert len(asked) <= (expected_asks if fit > least else 4)
        assert len(reserved.releases) == len(held) - 1
