"""One local cloud for all end-to-end tests, and what an app and its users do with it."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.local.built import build_for_this_machine
from infra.local.layout import Settings
from infra.local.stack import LocalStack
from tests.support.story import Story


@pytest.fixture(scope="session")
def lines() -> list[str]:
    """All that the parts of the local cloud printed."""
    return []


@pytest.fixture(scope="session")
def stack(lines: list[str]) -> Iterator[LocalStack]:
    """The whole local cloud, on free ports."""

    def keep(source: str, line: str) -> None:
        lines.append(f"{source} {line}")

    with LocalStack(Settings(token_delay_ms=0, verbose=True), on_line=keep) as running:
        print(f"local cloud ready in {running.started_in_s:.1f} s", file=sys.stderr)
        yield running


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The template of what `sam build` makes, for this machine."""
    return build_for_this_machine(tmp_path_factory.mktemp("built"))


@pytest.fixture
def story(stack: LocalStack) -> Iterator[Story]:
    """A user nobody has seen before, and their app."""
    with Story(stack) as told:
        yield told
