"""Django: answer a `BlockedError` with 402, and say whose request it is.

```python
MIDDLEWARE = [..., "tollkeeper.integrations.django.TollkeeperMiddleware"]
TOLLKEEPER_CLIENT = "shop.ai.tk"            # a Tollkeeper or AsyncTollkeeper, by its dotted name
TOLLKEEPER_GET_USER = "shop.ai.user_of"     # request -> id or None; left out: the signed-in user
TOLLKEEPER_GET_TIER = "shop.ai.tier_of"     # request -> tier or None; may be left out
```

Place it after `AuthenticationMiddleware`. It serves sync and async views without a change of
thread. Make the metered call in the view and stream its result: once an answer has begun, its
status is sent and no 402 can take its place.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Callable

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.http import HttpRequest, HttpResponseBase, JsonResponse
from django.utils.module_loading import import_string

from tollkeeper import BlockedError
from tollkeeper.integrations._body import HEADERS, STATUS, blocked_body

if TYPE_CHECKING:
    from tollkeeper import AsyncTollkeeper, Tollkeeper

#: Django's own signature of what a middleware is handed.
GetResponse = Callable[[HttpRequest], Any]


def blocked_response(error: BlockedError) -> JsonResponse:
    """402 with the body that embed.js understands."""
    return JsonResponse(blocked_body(error), status=STATUS, headers=HEADERS)


class TollkeeperMiddleware:
    """Names the user for every metered call of a request, and turns a block into 402.

    The functions of the settings may be async under ASGI. Where there is no user, nobody is named:
    a call then has to say `tollkeeper_user=` itself. Raises ImproperlyConfigured at the start where
    TOLLKEEPER_CLIENT is missing.
    """

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: GetResponse) -> None:
        self._get_response = get_response
        self._tk: Tollkeeper | AsyncTollkeeper = _setting("TOLLKEEPER_CLIENT")
        self._get_user = _setting("TOLLKEEPER_GET_USER", None)
        self._get_tier = _setting("TOLLKEEPER_GET_TIER", None)
        self._is_async = iscoroutinefunction(get_response)
        if self._is_async:
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> HttpResponseBase | Awaitable[HttpResponseBase]:
        """Answer as the user, in whichever way Django asks."""
        if self._is_async:
            return self._acall(request)
        user = (self._get_user or _signed_in)(request)
        tier = self._get_tier(request) if user and self._get_tier else None
        with self._as_user(user, tier):
            response: HttpResponseBase = self._get_response(request)
            return response

    async def _acall(self, request: HttpRequest) -> HttpResponseBase:
        user = await _maybe((self._get_user or _asigned_in)(request))
        tier = await _maybe(self._get_tier(request)) if user and self._get_tier else None
        with self._as_user(user, tier):
            response: HttpResponseBase = await self._get_response(request)
            return response

    def process_exception(self, _request: HttpRequest, error: Exception) -> JsonResponse | None:
        """Django calls this for what a view raised."""
        return blocked_response(error) if isinstance(error, BlockedError) else None

    def _as_user(self, user: str | None, tier: str | None) -> ExitStack:
        stack = ExitStack()
        if user:
            stack.enter_context(self._tk.user(user, tier=tier))
        return stack


def _signed_in(request: HttpRequest) -> str | None:
    user = getattr(request, "user", None)
    return str(user.pk) if user is not None and user.is_authenticated else None


async def _asigned_in(request: HttpRequest) -> str | None:
    # `request.user` would query the database, which Django refuses in an event loop.
    user = await request.auser() if hasattr(request, "auser") else None
    return str(user.pk) if user is not None and user.is_authenticated else None


async def _maybe(value: Any) -> Any:
    return await value if inspect.isawaitable(value) else value


def _setting(name: str, *default: Any) -> Any:
    """What the setting names, imported where it is a dotted name."""
    value = getattr(settings, name, *default) if default else getattr(settings, name, ...)
    if value is ...:
        raise ImproperlyConfigured(f"{name} is not set: the dotted name of your Tollkeeper client")
    return import_string(value) if isinstance(value, str) else value
