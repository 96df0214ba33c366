"""``python -m tests.bench.sdk_server NAME``: serve one of ``_APPS``, and print its address."""

import sys
import time

from infra.local.provider import BackgroundServer, create_app
from tests.support.scripted_tollkeeper import ScriptedTollkeeper

_NEVER = 10**9
_APPS = {
    "tollkeeper": lambda: ScriptedTollkeeper(limit=_NEVER).app(),
    "provider": lambda: create_app(0),
}


def main() -> None:
    """Serve until the process is ended."""
    app = _APPS[sys.argv[1]]()
    with BackgroundServer(app) as server:
        sys.stdout.write(f"{server.url}\n")
        sys.stdout.flush()
        while True:
            time.sleep(60)


if __name__ == "__main__":
    main()
