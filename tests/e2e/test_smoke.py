"""`make smoke`, against the local cloud: it passes here, and fails where something is broken."""

import httpx
import pytest

from infra.local.stack import LocalStack
from infra.setup.errors import SetupError
from infra.setup.smoke import Smoke, Target, main


def urls(stack: LocalStack, **others: str) -> list[str]:
    names = {"api": "intercept", "page": "upgrade_page", "webhook": "stripe_webhook"}
    found = {name: stack.urls[part] for name, part in names.items()} | others
    return [word for name, url in found.items() for word in (f"--{name}-url", url)]


def test_a_stack_that_works_passes(
    stack: LocalStack, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TOLLKEEPER_API_KEY", stack.api_key)
    assert main(urls(stack)) == 0
    said = capsys.readouterr().out
    assert said.count("✓") == 8
    assert "does what it is for" in said


@pytest.mark.parametrize(
    ("broken", "says"),
    [
        ({"api": "upgrade_page"}, "POST /v1/check was answered with 404"),
        ({"page": "intercept"}, "GET /embed.js was answered with 404"),
        ({"webhook": "upgrade_page"}, "POST / was answered with 404"),
    ],
)
def test_an_address_of_something_else_fails_and_says_where(
    stack: LocalStack,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    broken: dict[str, str],
    says: str,
) -> None:
    monkeypatch.setenv("TOLLKEEPER_API_KEY", stack.api_key)
    others = {name: stack.urls[part] for name, part in broken.items()}
    assert main(urls(stack, **others)) == 1
    assert says in capsys.readouterr().err


def test_a_key_that_is_wrong_fails(
    stack: LocalStack, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TOLLKEEPER_API_KEY", "tk_dead_" + "1" * 32)
    assert main(urls(stack)) == 1
    assert "POST /v1/check was answered with 401" in capsys.readouterr().err
    monkeypatch.delenv("TOLLKEEPER_API_KEY")
    assert main(urls(stack)) == 1
    assert "TOLLKEEPER_API_KEY" in capsys.readouterr().err


def test_usage_that_never_settles_is_noticed(stack: LocalStack) -> None:
    target = Target(
        stack.urls["intercept"],
        stack.urls["upgrade_page"],
        stack.urls["stripe_webhook"],
        stack.api_key,
    )
    with Smoke(target, patience_s=0) as smoke:
        smoke.what_is_left_is_known()
        smoke._http = _Losing(smoke._http)  # type: ignore[assignment]
        with pytest.raises(SetupError, match="not settled"):
            smoke.the_limit_stops()


class _Losing:
    """Takes usage and loses it."""

    def __init__(self, http: httpx.Client) -> None:
        self._http = http

    def post(self, url: str, **more: object) -> httpx.Response:
        if url.endswith("/v1/usage"):
            return httpx.Response(202, request=httpx.Request("POST", url), json={})
        return self._http.post(url, **more)  # type: ignore[arg-type]

    def close(self) -> None:
        self._http.close()
