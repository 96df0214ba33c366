"""A scripted Tollkeeper, the local provider, and a client of each kind between them."""

from collections.abc import Iterator

import pytest
from tollkeeper import Tollkeeper

from infra.local.provider import BackgroundServer, LocalProvider
from tests.support.scripted_tollkeeper import KEY, ScriptedTollkeeper


@pytest.fixture(scope="session")
def server() -> Iterator[ScriptedTollkeeper]:
    scripted = ScriptedTollkeeper()
    with BackgroundServer(scripted.app()) as running:
        scripted.url = running.url
        yield scripted


@pytest.fixture
def scripted(server: ScriptedTollkeeper) -> ScriptedTollkeeper:
    server.reset()
    return server


@pytest.fixture(scope="session")
def provider() -> Iterator[LocalProvider]:
    with LocalProvider(token_delay_ms=0) as running:
        yield running


@pytest.fixture
def tk(scripted: ScriptedTollkeeper) -> Iterator[Tollkeeper]:
    with Tollkeeper(scripted.url, KEY) as client:
        yield client
