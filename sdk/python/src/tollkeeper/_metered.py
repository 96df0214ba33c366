"""Clients of openai and anthropic that meter what they send.

A metered client is a subclass of its own class, made here. It overrides `post`, through which every
resource and helper sends, and `_process_response`, which is handed the HTTP response before
anything is made of it; and what tells that the package repeats an attempt by itself. So whatever
the caller gets is what the package makes of the very same bytes, with raw responses, `.stream()`,
`.parse()` and `with_options` included.
"""

from __future__ import annotations

import functools
import inspect
import logging
import sys
from collections.abc import Mapping
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Callable, TypeVar, cast

from tollkeeper._asking import (
    Asking,
    Check,
    Identity,
    Reserved,
    ask_capped,
    ask_once,
    drive,
    drive_async,
)
from tollkeeper._call import ModelCall
from tollkeeper._endpoints import UNMETERED, Endpoint, endpoint_of, provider_of
from tollkeeper._read_along import read_along
from tollkeeper._types import Json
from tollkeeper._wrapped import F, Wrapped

if TYPE_CHECKING:
    from tollkeeper._core import Core

logger = logging.getLogger("tollkeeper")

C = TypeVar("C")

_IDENTITY = "_tollkeeper_identity"
_PROVIDER = "_tollkeeper_provider"

#: The call whose answer is being awaited here: what ties `post` to `_process_response`.
_awaited: ContextVar[ModelCall | None] = ContextVar("tollkeeper_awaited", default=None)
_warned: set[str] = set()


def metered_client(core: Core, client: C, provider: str | None) -> C:
    """A metered twin that shares the client's connections; the client stays as it is.

    Raises TypeError for anything but a client of openai or anthropic.
    """
    cls = type(client)
    if getattr(cls, "_tollkeeper_core", None) is core:
        return client
    twin = _twin(client, _metered_class(core, cls))
    if provider is not None:
        twin.__dict__[_PROVIDER] = provider
    return twin


def metered_function(core: Core, fn: F, provider: str | None) -> Wrapped[F]:
    """A metered twin of a method such as `client.chat.completions.create`.

    Raises TypeError for a function that is no such method.
    """
    resource: Any = getattr(fn, "__self__", None)
    client = getattr(resource, "_client", None)
    name = getattr(fn, "__name__", "")
    if client is None or not hasattr(type(resource), name):
        raise TypeError(
            "wrap takes a method of an openai or anthropic client, such as "
            "client.chat.completions.create; meter any other call with tk.meter(...)"
        )
    client = metered_client(core, client, provider)
    usual = getattr(type(resource)(client), name)

    def metered(
        *args: Any,
        tollkeeper_user: str | None = None,
        tollkeeper_tier: str | None = None,
        **kwargs: Any,
    ) -> Any:
        if tollkeeper_user is None and tollkeeper_tier is None:
            return usual(*args, **kwargs)
        # Carried by the client and not by a context: helpers such as `.stream()` send later.
        identity = core.identify(tollkeeper_user, tollkeeper_tier)
        mine = _twin(client, type(client))
        mine.__dict__[_IDENTITY] = identity
        return getattr(type(resource)(mine), name)(*args, **kwargs)

    return Wrapped(fn, metered)


def _twin(client: C, cls: Any) -> C:
    # Resources hold the client that they were made for; the twin makes its own when asked.
    made = _resources(cls)
    twin = cls.__new__(cls)
    for name, value in vars(client).items():
        if name in made:
            continue
        if getattr(value, "_client", None) is client:
            # Made with the client, and not when asked for: they would go on sending unmetered.
            package = cls.__module__.partition(".")[0]
            raise TypeError(f"this version of {package} is older than what can be metered")
        twin.__dict__[name] = value
    return cast(C, twin)


@functools.lru_cache(maxsize=None)  # noqa: UP033  # as long as the classes themselves
def _resources(cls: type) -> frozenset[str]:
    found = (item for base in cls.__mro__ for item in vars(base).items())
    return frozenset(name for name, value in found if isinstance(value, functools.cached_property))


def _metered_class(core: Core, cls: type) -> type:
    found = core.metered_classes.get(cls)
    if found is None:
        vendor = _vendor(cls)
        methods = _async_methods if inspect.iscoroutinefunction(cls.post) else _sync_methods  # type: ignore[attr-defined]  # seen by _vendor
        names = {"__module__": cls.__module__, "__qualname__": cls.__qualname__}
        marks = {"_tollkeeper_core": core, "__doc__": cls.__doc__}
        found = type(cls.__name__, (cls,), {**names, **marks, **methods(core, cls, vendor)})
        core.metered_classes[cls] = found
    return found


def _vendor(cls: type) -> str:
    modules = {base.__module__.partition(".")[0] for base in cls.__mro__}
    for vendor in ("openai", "anthropic"):
        if vendor in modules and hasattr(cls, "post") and hasattr(cls, "_process_response"):
            return vendor
    raise TypeError(f"{cls.__name__} is no client of openai or anthropic; use tk.meter(...)")


class _Plan:
    """What one request is about: read before the check, prepared for sending after it."""

    def __init__(
        self, core: Core, client: Any, endpoint: Endpoint, vendor: str, kwargs: dict[str, Any]
    ) -> None:
        self._core = core
        self._endpoint = endpoint
        self._kwargs = kwargs
        body = kwargs.get("body")
        self._body: Json = dict(body) if isinstance(body, Mapping) else {}
        extra = (kwargs.get("options") or {}).get("extra_json")
        self._extra: Json = dict(extra) if isinstance(extra, Mapping) else {}
        self._sent = {**self._body, **self._extra}
        self._provider = getattr(client, _PROVIDER, None) or provider_of(
            vendor, getattr(client.base_url, "host", "")
        )
        self._modern = self._provider in ("openai", "azure")
        identity: Identity | None = getattr(client, _IDENTITY, None)
        model = self._sent.get("model")
        self.check = Check(
            identity or core.identify(),
            self._provider,
            model if isinstance(model, str) and model else None,
            endpoint.input_tokens(self._sent),
            endpoint.max_output(self._sent, core.default_max_output_tokens),
        )

    def asking(self) -> Asking:
        """The checks that it takes."""
        if self._core.caps and self._endpoint.max_keys:
            return ask_capped(self.check, self._core.rates, self._endpoint.least_output(self._sent))
        return ask_once(self.check)

    def begin(self, reserved: Reserved) -> tuple[ModelCall, dict[str, Any]]:
        """The call, and what is to be sent for it."""
        wanted = self.check.max_output_tokens or 0
        if reserved.max_output_tokens < wanted:
            most = reserved.max_output_tokens
            self._set(self._endpoint.capped(self._sent, most, modern=self._modern))
        hides = self._ask_for_usage()
        call = ModelCall(self._core, self._endpoint, self.check, reserved, hides_usage=hides)
        kwargs = {**self._kwargs, "body": self._body}
        if self._extra:
            kwargs["options"] = {**self._kwargs["options"], "extra_json": self._extra}
        return call, kwargs

    def _ask_for_usage(self) -> bool:
        """Whether the caller did not ask for the usage of the stream, and it is asked for now."""
        if not self._endpoint.asks_for_usage or self._sent.get("stream") is not True:
            return False
        options = self._sent.get("stream_options")
        options = dict(options) if isinstance(options, Mapping) else {}
        if options.get("include_usage"):
            return False
        self._set({"stream_options": {**options, "include_usage": True}})
        return True

    def _set(self, values: Json) -> None:
        for name, value in values.items():
            # `extra_body` wins over the body when both are sent.
            (self._extra if name in self._extra else self._body)[name] = value


def _plan(core: Core, client: Any, vendor: str, path: str, kwargs: dict[str, Any]) -> _Plan | None:
    endpoint = endpoint_of(vendor, path)
    if endpoint is not None:
        return _Plan(core, client, endpoint, vendor, kwargs)
    if path.startswith(UNMETERED[vendor]) and path not in _warned:
        _warned.add(path)
        logger.warning("%s is billed and not metered: use tk.meter(...) for it", path)
    return None


def _sync_methods(core: Core, cls: Any, vendor: str) -> dict[str, Any]:
    def post(self: Any, path: str, **kwargs: Any) -> Any:
        plan = _plan(core, self, vendor, path, kwargs)
        if plan is None:
            return cls.post(self, path, **kwargs)
        call, kwargs = plan.begin(drive(plan.asking(), core.check))
        token = _awaited.set(call)
        try:
            result = cls.post(self, path, **kwargs)
        except BaseException as error:
            call.failed(error)
            raise
        finally:
            _awaited.reset(token)
        _fallback(call)
        return result

    def process_response(self: Any, **kwargs: Any) -> Any:
        _observe(kwargs["response"])
        return cls._process_response(self, **kwargs)

    def prepare_request(self: Any, request: Any) -> None:
        _begins()
        cls._prepare_request(self, request)

    def retry(name: str) -> Callable[..., Any]:
        def retried(self: Any, *args: Any, **kwargs: Any) -> Any:
            _repeats()
            return getattr(cls, name)(self, *args, **kwargs)

        return retried

    return {
        "post": post,
        "_process_response": process_response,
        "_prepare_request": prepare_request,
        **{name: retry(name) for name in _RETRIES if hasattr(cls, name)},
    }


def _async_methods(core: Core, cls: Any, vendor: str) -> dict[str, Any]:
    async def post(self: Any, path: str, **kwargs: Any) -> Any:
        plan = _plan(core, self, vendor, path, kwargs)
        if plan is None:
            return await cls.post(self, path, **kwargs)
        call, kwargs = plan.begin(await drive_async(plan.asking(), core.acheck))
        token = _awaited.set(call)
        try:
            result = await cls.post(self, path, **kwargs)
        except BaseException as error:
            call.failed(error)
            raise
        finally:
            _awaited.reset(token)
        _fallback(call)
        return result

    async def process_response(self: Any, **kwargs: Any) -> Any:
        _observe(kwargs["response"])
        return await cls._process_response(self, **kwargs)

    async def prepare_request(self: Any, request: Any) -> None:
        _begins()
        await cls._prepare_request(self, request)

    def retry(name: str) -> Callable[..., Any]:
        async def retried(self: Any, *args: Any, **kwargs: Any) -> Any:
            _repeats()
            return await getattr(cls, name)(self, *args, **kwargs)

        return retried

    return {
        "post": post,
        "_process_response": process_response,
        "_prepare_request": prepare_request,
        **{name: retry(name) for name in _RETRIES if hasattr(cls, name)},
    }


#: What the packages call, in the handler of an attempt's error, before another attempt: newer
#: versions the first, older ones the second.
_RETRIES = ("_sleep_for_retry", "_retry_request")


def _begins() -> None:
    call = _awaited.get()
    if call is not None:
        call.begins()


def _repeats() -> None:
    call = _awaited.get()
    if call is not None:
        call.repeats(sys.exc_info()[1])


def _fallback(call: ModelCall) -> None:
    """A client that handed over no response (a version to come): settled on an estimate."""
    if not call.answered:
        logger.warning("a response that was not seen: its usage is estimated")
        call.end()


def _observe(response: Any) -> None:
    call = _awaited.get()
    if call is not None:
        read_along(response, call)
