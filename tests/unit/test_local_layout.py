"""Which parts run where, and which are replaced by the real ones."""

import pytest

from infra.local.layout import CHAT_PORT, FRIENDLY_PORTS, Layout, Settings
from infra.local.parts import Part, PortTakenError
from infra.local.seed import Stripe, Upstash
from infra.local.stack import START_TRIES_MAX, LocalStack


def layout(**settings: object) -> Layout:
    return Layout(Settings(**settings), token="t", api_key="tk_1_2")  # type: ignore[arg-type]


def by_name(parts: list[Part]) -> dict[str, Part]:
    return {part.name: part for part in parts}


def test_every_part_is_told_of_those_it_uses() -> None:
    local = layout()
    parts = by_name(local.services())
    assert set(parts) == {"redis", "gateway", "aws", "stripe", "provider", "chat"}
    assert str(local.ports["redis"]) in parts["gateway"].arguments
    assert f"{local.urls['lambda']}/event-bus" in parts["aws"].arguments
    assert {local.urls["provider"], local.urls["intercept"], local.urls["upgrade_page"]} <= set(
        parts["chat"].arguments
    )
    functions = local.functions()
    assert f"STRIPE_API_BASE={local.urls['stripe']}" in functions.arguments
    assert "Stage=local" in functions.arguments
    assert f"InterceptFunction={local.ports['InterceptFunction']}" in functions.arguments
    assert len(set(local.ports.values())) == len(local.ports)


def test_the_chats_origin_is_allowed_unless_others_are_named() -> None:
    local = layout()
    port = local.ports["chat"]
    expected = [f"http://127.0.0.1:{port}", f"http://localhost:{port}"]
    assert local.overrides["settings"]["allowed_origins"] == expected
    own = layout(overrides={"settings": {"allowed_origins": ["https://a.example"], "x": 1}})
    assert own.overrides["settings"] == {"allowed_origins": ["https://a.example"], "x": 1}
    assert layout(chat=False).overrides == {}


def test_the_real_stripe_and_upstash_take_the_place_of_parts() -> None:
    real = layout(
        chat=False,
        upstash=Upstash("https://x.upstash.io", "secret"),
        stripe=Stripe(secret_key="sk_test_x"),
    )
    assert set(by_name(real.services())) == {"aws", "provider"}
    assert not {"gateway", "stripe", "redis"} & (real.urls.keys() | real.ports.keys())
    assert not any("STRIPE_API_BASE" in argument for argument in real.functions().arguments)
    assert real.upstash.url == "https://x.upstash.io"
    assert real.stripe.api_base is None


def test_friendly_ports_are_wanted_only_when_asked_for() -> None:
    wanted = {CHAT_PORT, *FRIENDLY_PORTS.values()}
    assert layout(friendly_ports=True).ports.keys() == layout().ports.keys()
    assert len(wanted & set(layout(friendly_ports=True).ports.values())) > 0
    assert not wanted & set(layout().ports.values())


class TakenPorts(LocalStack):
    """A stack whose ports are taken in between so many times."""

    def __init__(self, times: int) -> None:
        super().__init__()
        self.times = times
        self.tries = 0

    def _bring_up(self) -> None:
        self.tries += 1
        if self.tries <= self.times:
            raise PortTakenError("taken")


def test_a_port_taken_in_between_is_no_reason_to_give_up_at_once() -> None:
    with TakenPorts(START_TRIES_MAX - 1) as stack:
        assert stack.tries == START_TRIES_MAX
    with pytest.raises(PortTakenError):
        TakenPorts(START_TRIES_MAX).start()
