"""Starlette and FastAPI: answer a `BlockedError` with 402, and say whose request it is.

```python
app.add_exception_handler(BlockedError, blocked_response)
app.add_middleware(UserMiddleware, tk=tk, get_user=lambda request: request.session.get("user"))
```

Make the metered call in the endpoint and stream its result: once a `StreamingResponse` has begun,
its status is sent and no 402 can take its place.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable
from typing import TYPE_CHECKING, Callable, Optional, Union

from starlette.requests import HTTPConnection, Request
from starlette.responses import JSONResponse

from tollkeeper import BlockedError
from tollkeeper.integrations._body import HEADERS, STATUS, blocked_body

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

    from tollkeeper import AsyncTollkeeper, Tollkeeper

#: From a request to the app's own id of its user (or the user's tier), or None.
Get = Callable[[HTTPConnection], Union[Optional[str], Awaitable[Optional[str]]]]


async def blocked_response(_request: Request, error: Exception) -> JSONResponse:
    """The exception handler for `BlockedError`: 402 with the body that embed.js understands."""
    if not isinstance(error, BlockedError):
        raise error  # registered for another exception: not ours to answer
    return JSONResponse(blocked_body(error), STATUS, HEADERS)


class UserMiddleware:
    """Every metered call within a request is its user's.

    `get_user` and `get_tier` take the request and may be async. Where `get_user` answers None,
    nobody is named: a call then has to say `tollkeeper_user=` itself. Put it inside whatever finds
    out who is signed in (in Starlette, middleware that is added later runs earlier).
    """

    def __init__(
        self,
        app: ASGIApp,
        tk: Tollkeeper | AsyncTollkeeper,
        get_user: Get,
        get_tier: Get | None = None,
    ) -> None:
        self._app = app
        self._tk = tk
        self._get_user = get_user
        self._get_tier = get_tier

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer as the user."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        request = HTTPConnection(scope)
        user = await _ask(self._get_user, request)
        if user is None:
            await self._app(scope, receive, send)
            return
        tier = await _ask(self._get_tier, request) if self._get_tier else None
        # Around the whole answer: what a streamed body still calls is this user's as well.
        with self._tk.user(user, tier=tier):
            await self._app(scope, receive, send)


async def _ask(get: Get, request: HTTPConnection) -> str | None:
    answer = get(request)
    return await answer if inspect.isawaitable(answer) else answer
