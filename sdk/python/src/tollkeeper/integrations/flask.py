"""Flask: answer a `BlockedError` with 402, and say whose request it is.

```python
init_app(app, tk, get_user=lambda: session.get("user"))
```

Make the metered call in the view and stream its result: once an answer has begun, its status is
sent and no 402 can take its place. Flask ends the request before a streamed body begins, even with
`stream_with_context`: a metered call within the body has to say `tollkeeper_user=` itself.
"""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Callable, Optional

from flask import Flask, Response, g, jsonify

from tollkeeper import BlockedError
from tollkeeper.integrations._body import HEADERS, STATUS, blocked_body

if TYPE_CHECKING:
    from tollkeeper import Tollkeeper

#: The app's own id of the request's user (or the user's tier), or None. Reads Flask's own globals.
Get = Callable[[], Optional[str]]

_ENTERED = "_tollkeeper_user"


def init_app(
    app: Flask,
    tk: Tollkeeper | None = None,
    get_user: Get | None = None,
    get_tier: Get | None = None,
) -> None:
    """Register the 402, and with `tk` and `get_user` also that metered calls are the user's.

    Where `get_user` answers None, nobody is named: a call then has to say `tollkeeper_user=`.
    Before-request functions run in the order in which they were registered: call this after the one
    that finds out who is signed in.
    """
    app.register_error_handler(BlockedError, blocked_response)
    if tk is None or get_user is None:
        return

    def enter() -> None:
        user = get_user()
        if user is not None:
            stack = ExitStack()
            stack.enter_context(tk.user(user, tier=get_tier() if get_tier else None))
            setattr(g, _ENTERED, stack)

    def leave(_error: BaseException | None) -> None:
        stack = g.pop(_ENTERED, None)
        if stack is not None:
            stack.close()

    app.before_request(enter)
    app.teardown_request(leave)


def blocked_response(error: BlockedError) -> Response:
    """402 with the body that embed.js understands."""
    response = jsonify(blocked_body(error))
    response.status_code = STATUS
    response.headers.update(HEADERS)
    return response
