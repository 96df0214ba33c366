"""A provider and a scripted Tollkeeper for the SDK's tests."""

from collections.abc import Iterator

import pytest
from tollkeeper import Tollkeeper

from infra.local.provider import BackgroundServer, LocalProvider
from tests.support.scripted_tollkeeper import KEY, ScriptedTollkeeper


@pytest.fixture(scope="session")
def shared_provider() -> Iterator[LocalProvider]:
    with LocalProvider(token_delay_ms=0) as provider:
        yield provider


@pytest.fixture
def provider(shared_provider: LocalProvider) -> LocalProvider:
    """The provider at full pace; its invoice goes on from test to test."""
    shared_provider.token_delay_ms = 0
    return shared_provider


@pytest.fixture(scope="session")
def shared_api() -> Iterator[ScriptedTollkeeper]:
    api = ScriptedTollkeeper()
    with BackgroundServer(api.app()) as server:
        api.url = server.url
        yield api


@pytest.fixture
def api(shared_api: ScriptedTollkeeper) -> ScriptedTollkeeper:
    """An API that allows everything."""
    shared_api.reset()
    shared_api.limit = 1_000_000
    return shared_api


@pytest.fixture
def tk(api: ScriptedTollkeeper) -> Iterator[Tollkeeper]:
    with Tollkeeper(api.url, KEY, timeout_s=5.0) as client:
        yield client
