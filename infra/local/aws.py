"""`python -m infra.local.aws`: SQS, SSM and S3 on one loopback port, from moto's server.

moto keeps a parameter's changes to itself; here each becomes the EventBridge event that AWS sends,
posted to the Lambda service's event bus.
"""

import argparse
import io
import json
import logging
import queue
import signal
import sys
import threading
import time
import urllib.request
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from types import FrameType
from typing import TYPE_CHECKING, Any

from moto.moto_server.werkzeug_app import (
    DomainDispatcherApplication,
    MotoRequestHandler,
    create_backend_app,
)
from werkzeug.serving import make_server

from infra.local.cloudformation import ACCOUNT_ID

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

HOST = "127.0.0.1"
_SEND_TIMEOUT_S = 5.0

Publish = Callable[[dict[str, Any]], None]


class ParameterEvents:
    """WSGI middleware that publishes a "Parameter Store Change" event for each change of SSM's."""

    def __init__(self, app: "WSGIApplication", publish: Publish, region: str) -> None:
        self._app = app
        self._publish = publish
        self._region = region
        # A put over an existing parameter need not repeat the type, which the event has.
        self._types: dict[str, str] = {}

    def __call__(
        self, environ: "WSGIEnvironment", start_response: "StartResponse"
    ) -> Iterable[bytes]:
        """Pass the request on; publish once it has succeeded."""
        operation = str(environ.get("HTTP_X_AMZ_TARGET", "")).removeprefix("AmazonSSM.")
        if operation not in {"PutParameter", "DeleteParameter", "DeleteParameters"}:
            return self._app(environ, start_response)
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        environ["wsgi.input"] = io.BytesIO(body)
        statuses: list[str] = []

        def noting_start_response(status: str, *rest: Any) -> Callable[[bytes], object]:
            statuses.append(status)
            return start_response(status, *rest)

        answer = b"".join(self._app(environ, noting_start_response))
        if statuses and statuses[-1].startswith("200"):
            for detail in self._changes(operation, json.loads(body), json.loads(answer or b"{}")):
                self._publish(parameter_event(detail, self._region))
        return [answer]

    def _changes(
        self, operation: str, request: dict[str, Any], answer: dict[str, Any]
    ) -> Iterator[dict[str, str]]:
        if operation == "PutParameter":
            name = request["Name"]
            self._types[name] = request.get("Type") or self._types.get(name, "String")
            change = "Create" if answer["Version"] == 1 else "Update"
            yield {"operation": change, "name": name, "type": self._types[name]}
            return
        deleted = answer.get("DeletedParameters", [request.get("Name")])
        for name in deleted:
            yield {
                "operation": "Delete",
                "name": name,
                "type": self._types.pop(name, "String"),
            }


def parameter_event(detail: dict[str, str], region: str) -> dict[str, Any]:
    """The event of a change (Systems Manager user guide, "EventBridge event examples")."""
    path = detail["name"].removeprefix("/")
    return {
        "version": "0",
        "id": str(uuid.uuid4()),
        "detail-type": "Parameter Store Change",
        "source": "aws.ssm",
        "account": ACCOUNT_ID,
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "region": region,
        "resources": [f"arn:aws:ssm:{region}:{ACCOUNT_ID}:parameter/{path}"],
        "detail": detail,
    }


class EventSender:
    """Posts events to a bus in their order, in a thread: who changes a parameter never waits."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        self._events: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        threading.Thread(target=self._run, name="events", daemon=True).start()

    def __call__(self, event: dict[str, Any]) -> None:
        """Take an event on."""
        self._events.put(event)

    def _run(self) -> None:
        while True:
            body = json.dumps(self._events.get()).encode()
            # The address is the supervisor's, on loopback.
            request = urllib.request.Request(self._url, body, method="POST")  # noqa: S310
            try:
                self._opener.open(request, timeout=_SEND_TIMEOUT_S).close()
            except OSError:
                # No Lambda service yet or any more, hence no rule: an event that nobody waits for.
                continue


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until SIGTERM or SIGINT."""
    parser = argparse.ArgumentParser(prog="python -m infra.local.aws")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--event-bus", help="URL to which EventBridge events are posted")
    parser.add_argument("--region", default="us-east-1")
    parser.add_argument("--verbose", action="store_true", help="log every request")
    options = parser.parse_args(arguments)
    logging.getLogger("werkzeug").setLevel(logging.INFO if options.verbose else logging.ERROR)

    app: WSGIApplication = DomainDispatcherApplication(create_backend_app)
    if options.event_bus:
        app = ParameterEvents(app, EventSender(options.event_bus), options.region)
    server = make_server(HOST, options.port, app, threaded=True, request_handler=MotoRequestHandler)

    def stop(_number: int, _frame: FrameType | None) -> None:
        # serve_forever() runs in this very thread: only another one can wait for its end.
        threading.Thread(target=server.shutdown).start()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    server.serve_forever(poll_interval=0.1)
    return 0


if __name__ == "__main__":
    sys.exit(main())
