"""What set-up says when Stripe or Upstash says no: answers that the local ones never give."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import pytest

from infra.setup.checks import check_stripe_key, check_upstash
from infra.setup.errors import SetupError

UNKNOWN_KEY = {"error": {"type": "invalid_request_error", "message": "Invalid API Key provided"}}
RESTRICTED = {"error": {"type": "invalid_request_error", "message": "does not have the required"}}


@contextmanager
def answering(status: int, body: bytes) -> Iterator[str]:
    """A server that answers every request with the same."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_POST(self) -> None:
            self.do_GET()

        def log_message(self, *_: object) -> None:
            """Stay silent."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize(
    ("status", "answer", "said"),
    [
        (401, UNKNOWN_KEY, "Stripe refuses the key"),
        (403, RESTRICTED, "Webhook Endpoints and Checkout Sessions"),
        (400, UNKNOWN_KEY, "Stripe cannot be asked: Invalid API Key provided"),
    ],
)
def test_stripes_refusal_is_explained(
    monkeypatch: pytest.MonkeyPatch, status: int, answer: object, said: str
) -> None:
    with answering(status, json.dumps(answer).encode()) as url:
        monkeypatch.setenv("STRIPE_API_BASE", url)
        with pytest.raises(SetupError, match=said):
            check_stripe_key("sk_test_4eC39")


@pytest.mark.parametrize(
    ("key", "mode"), [("sk_test_4eC39", "test"), ("sk_live_4eC39", "live"), ("rk_live_9", "live")]
)
def test_the_mode_is_the_keys(monkeypatch: pytest.MonkeyPatch, key: str, mode: str) -> None:
    page = {"object": "list", "data": [], "has_more": False, "url": "/v1/webhook_endpoints"}
    with answering(200, json.dumps(page).encode()) as url:
        monkeypatch.setenv("STRIPE_API_BASE", url)
        assert check_stripe_key(key) == mode


@pytest.mark.parametrize("key", ["", "pk_live_4eC39", "whsec_4eC39", "sk_test_", "sk_test_a b"])
def test_what_is_no_secret_key_is_not_sent_to_stripe(
    monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    monkeypatch.setenv("STRIPE_API_BASE", "http://127.0.0.1:9")
    with pytest.raises(SetupError, match="secret key begins with sk_test_"):
        check_stripe_key(key)


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (200, b"<html>a captive portal</html>", "does not answer as Upstash does"),
        (404, b'{"error": "no such database"}', "refuses PING: no such database"),
        (200, b"[]", "refuses PING"),
    ],
)
def test_another_server_is_not_taken_for_upstash(status: int, body: bytes, said: str) -> None:
    with answering(status, body) as url, pytest.raises(SetupError, match=said):
        check_upstash(url, "a-long-enough-token")


def test_quotes_around_what_was_copied_are_taken_off() -> None:
    with answering(200, b'{"result": "PONG"}') as url:
        found = check_upstash(f'"{url}/"', '"a-long-enough-token"')

    assert (found.url, found.token) == (url, "a-long-enough-token")
    assert found.token not in repr(found)
