"""What callers see of limits, caps, standings and links, from the product itself, in both modes."""

import asyncio
import json
from contextlib import suppress
from datetime import UTC, datetime
from urllib.parse import urlsplit

import pytest
from anthropic import Anthropic
from openai import AsyncOpenAI, OpenAI
from tollkeeper import AsyncTollkeeper, BlockedError, Tollkeeper, TollkeeperError
from tollkeeper_core.domain.movements import Grant

from tests.sdk.real_tollkeeper import KEY, clock, config, real_tollkeeper
from tests.support.vendor_http import vendor_http

CENT = 10_000_000
MODEL, CLAUDE = "gpt-4o-mini", "claude-haiku-4-5"
ASK = [{"role": "user", "content": "rivers?"}]
PRO = {
    "rank": 1,
    "limits": {
        "daily": {"limit_usd": "0.04"},
        "weekly": {"limit_usd": "0.10"},
        "monthly": {"limit_usd": "1.00"},
    },
}


@pytest.fixture(scope="module", params=["url", "direct"])
def mode(request, redis_stack):
    """What a client is given besides."""
    direct = {"redis_url": redis_stack.url, "redis_token": redis_stack.token}
    return direct if request.param == "direct" else {}


@pytest.fixture(scope="module")
def real(redis_stack, mode):
    with real_tollkeeper(redis_stack, config("0.01", pro=PRO)) as real:
        yield real


@pytest.fixture(scope="module")
def tk(real, mode):
    with Tollkeeper(real.url, KEY, timeout_s=10, **mode) as tk:
        yield tk


@pytest.fixture(scope="module")
def capping(real, mode):
    with Tollkeeper(real.url, KEY, timeout_s=10, on_partial="cap", **mode) as tk:
        yield tk


class Provider:
    """Answers with as many output tokens as the request allows, and keeps what was sent."""

    def __init__(self):
        self.sent = []

    def transport(self):
        return vendor_http.MockTransport(self._answer)

    def _answer(self, request):
        body = json.loads(request.read())
        self.sent.append(body)
        path = request.url.path
        most = next(body[key] for key in ("max_completion_tokens", "max_tokens",
                                          "max_output_tokens") if key in body)  # fmt: skip
        if path.endswith("/chat/completions"):
            used = {"prompt_tokens": 8, "completion_tokens": most * body.get("n", 1)}
            answer = {"object": "chat.completion", "choices": [], "usage": used}
        elif path.endswith("/responses"):
            used = {"input_tokens": 8, "output_tokens": most}
            answer = {"object": "response", "output": [], "usage": used}
        else:
            used = {"input_tokens": 8, "output_tokens": most}
            answer = {"type": "message", "content": [], "usage": used}
        return vendor_http.Response(200, json={"id": "1", "model": body["model"], **answer})


@pytest.fixture
def provider():
    return Provider()


@pytest.fixture
def openai(provider):
    http = vendor_http.Client(transport=provider.transport())
    with OpenAI(base_url="http://p/v1", api_key="k", http_client=http, max_retries=0) as client:
        yield client


@pytest.fixture
def anthropic(provider):
    http = vendor_http.Client(transport=provider.transport())
    with Anthropic(base_url="http://p", api_key="k", http_client=http, max_retries=0) as client:
        yield client


def spend(tk, real, user, usd, tier=None):
    with tk.meter(user=user, tier=tier, amount_usd=usd) as meter:
        meter.report(cost_usd=usd)
    assert tk.flush(10)
    real.settle()


def test_a_standing_has_percents_resets_and_credits_in_what_was_paid(tk, real):
    spend(tk, real, "buyer", "0.02", tier="pro")
    grant = Grant("buyer", "pi_1", "starter", 5 * CENT, 500, "usd", None, None, clock())
    real.store.grant(grant)
    usage = tk.get_usage("buyer")
    assert usage.tier == "pro"
    assert (usage.daily_percent, usage.weekly_percent, usage.monthly_percent) == (50, 20, 2)
    assert usage.credit_balance_display == "$5.00"
    assert usage.resets_at > datetime.now(UTC)
    seen = tk.check(user_id="buyer", tier="free", amount_usd="0.001").usage
    assert (seen.daily_percent, seen.weekly_percent, seen.monthly_percent) == (100, None, None)
    nobody = tk.get_usage("nobody yet/../ü")
    assert (nobody.daily_percent, nobody.credit_balance_display) == (0, None)


def test_a_block_says_what_stops_the_call_and_what_would_help(tk, real):
    spend(tk, real, "spender", "0.01")
    with pytest.raises(BlockedError) as caught:
        tk.check(user_id="spender", amount_usd="0.001")
    block = caught.value
    assert (block.reason, block.window) == ("limit_reached", "daily")
    assert block.upgrade_url == block.checkout_url
    assert urlsplit(block.upgrade_url).netloc == "page.test"
    assert block.upgrade_message
    assert block.resets_at > datetime.now(UTC)
    assert block.usage.daily_percent == 100
    assert block.affordable_usd == 0
    with pytest.raises(BlockedError) as caught:
        tk.check(user_id="spender", provider="openai", model="no-such-model")
    assert caught.value.reason == "unknown_model"
    assert caught.value.upgrade_url is None


def test_warnings_come_once_and_to_a_wrapped_calls_hook(real, mode, openai, caplog):
    heard = []

    def hear(user, warnings):
        heard.append((user, *[(w["window"], w["percent"], w["threshold"]) for w in warnings]))
        raise RuntimeError("the hook is broken")

    with Tollkeeper(real.url, KEY, timeout_s=10, on_warning=hear, **mode) as tk:
        create = tk.wrap(openai.chat.completions.create, provider="openai").for_user("warned")
        for cost in ("0.0055", "0.003"):
            tk.report(user_id="warned", cost_usd=cost)
            assert tk.flush(10)
            real.settle()
            for _ in range(2):
                create(model=MODEL, messages=ASK, max_completion_tokens=1)
        assert heard == [("warned", ("daily", 55, 50)), ("warned", ("daily", 85, 80))]
        assert "the hook is broken" in caplog.text
        assert tk.check(user_id="warned", amount_usd="0").warnings == ()


def test_a_link_is_this_users_and_a_wrong_tier_an_error(tk):
    links = {tk.upgrade_link("ada"), tk.upgrade_link("bob", tier="pro")}
    assert len(links) == 2
    assert {urlsplit(link).netloc for link in links} == {"page.test"}
    with pytest.raises(TollkeeperError, match="tier"):
        tk.check(user_id="ada", tier="gold", amount_usd="0.001")


def capped(call, provider, real, tk, user):
    """What was sent for a call that is too large; it spends no more than there is."""
    call()
    assert tk.flush(10)
    real.settle()
    counters = real.counters(user)
    assert 0 < counters.total_nano <= CENT
    assert counters.held_total_nano == 0
    (sent,) = provider.sent
    return sent


def test_a_cap_lowers_the_maximum_to_what_there_is(capping, real, provider, openai):
    create = capping.wrap(openai.chat.completions.create)
    request = {"model": MODEL, "messages": ASK, "tollkeeper_user": "chat"}
    sent = capped(
        lambda: create(**request, max_completion_tokens=1_000_000), provider, real, capping, "chat"
    )
    # 0.01 US dollars buy 16,666 output tokens at 0.60 a million, less the input's worth.
    assert 16_600 < sent["max_completion_tokens"] < 16_667
    again = real.counters("chat").total_nano
    with pytest.raises(BlockedError):
        create(model="gpt-4o", messages=ASK * 50, tollkeeper_user="chat")
    assert real.counters("chat").total_nano == again
    assert real.counters("chat").held_total_nano == 0


def test_a_cap_sets_a_maximum_where_none_was_and_counts_all_choices(
    capping, real, provider, openai
):
    create = capping.wrap(openai.chat.completions.create)
    sent = capped(
        lambda: create(model="gpt-4o", messages=ASK, n=3, tollkeeper_user="choices"),
        provider, real, capping, "choices",
    )  # fmt: skip
    assert 300 < sent["max_completion_tokens"] <= 333


def test_a_cap_on_responses_and_in_an_extra_body(capping, real, provider, openai):
    client = capping.wrap_client(openai)
    with capping.user("responses"):
        sent = capped(
            lambda: client.responses.create(
                model=MODEL, input="rivers?", extra_body={"max_output_tokens": 900_000}
            ),
            provider, real, capping, "responses",
        )  # fmt: skip
    assert 16_600 < sent["max_output_tokens"] < 16_667


def test_a_cap_on_messages_leaves_thinking_its_budget(capping, real, provider, anthropic):
    create = capping.wrap(anthropic.messages.create)
    request = {"model": CLAUDE, "messages": ASK, "timeout": 60}
    sent = capped(
        lambda: create(**request, max_tokens=60_000, tollkeeper_user="messages"),
        provider, real, capping, "messages",
    )  # fmt: skip
    assert 1_900 < sent["max_tokens"] <= 2_000
    thinking = {"type": "enabled", "budget_tokens": 8_000}
    with pytest.raises(BlockedError):
        create(**request, max_tokens=60_000, thinking=thinking, tollkeeper_user="thinker")
    assert len(provider.sent) == 1
    assert capping.flush(10)
    real.settle()
    assert real.counters("thinker").held_total_nano == 0


def test_a_cap_in_an_event_loop(real, provider, mode):
    async def run():
        http = vendor_http.AsyncClient(transport=provider.transport())
        client = AsyncOpenAI(base_url="http://p/v1", api_key="k", http_client=http, max_retries=0)
        async with (
            AsyncTollkeeper(real.url, KEY, timeout_s=10, on_partial="cap", **mode) as tk,
            client,
        ):
            create = tk.wrap(client.chat.completions.create)
            await create(
                model=MODEL, messages=ASK, max_completion_tokens=500_000, tollkeeper_user="loop"
            )

    asyncio.run(run())
    real.settle()
    assert 16_600 < provider.sent[0]["max_completion_tokens"] < 16_667
    assert 0 < real.counters("loop").total_nano <= CENT
    assert real.counters("loop").held_total_nano == 0


def test_without_a_cap_a_call_that_does_not_fit_is_blocked_and_holds_nothing(
    tk, real, provider, openai
):
    create = tk.wrap(openai.chat.completions.create)
    with pytest.raises(BlockedError) as caught:
        create(model=MODEL, messages=ASK, max_tokens=1_000_000, tollkeeper_user="large")
    assert caught.value.affordable_usd > 0
    assert provider.sent == []
    assert real.counters("large").held_total_nano == 0


def test_a_refused_calls_reservation_is_free_again(tk, real):
    with suppress(KeyError), tk.meter(user="free", amount_usd="0.01"):
        assert real.counters("free").held_total_nano == CENT
        raise KeyError
    assert tk.flush(10)
    real.settle()
    assert real.counters("free").held_total_nano == 0
    assert tk.check(user_id="free", amount_usd="0.01").reserved_usd
