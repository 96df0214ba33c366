"""Requests to Stripe, held against the parameter types that come with stripe-python."""

import inspect
import types
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from typing import Any, ForwardRef, Literal, NotRequired, Required, Union, get_args, get_origin

import stripe
from stripe import RequestOptions, StripeContext
from typing_extensions import get_type_hints, is_typeddict


class WrongParameterError(AssertionError):
    """A request that Stripe's own types do not allow."""


def problems(value: Any, kind: Any, path: str = "params") -> Iterator[str]:
    """Everything in ``value`` that is not of the type ``kind``.

    Stricter than a type checker: unknown keys are wrong, and where the types list values and add
    ``str`` for those to come, only the listed ones are right.
    """
    origin, inner = get_origin(kind), get_args(kind)
    if origin in (NotRequired, Required):
        return problems(value, inner[0], path)
    if is_typeddict(kind):
        return _of_typed_dict(value, kind, path)
    if origin in (Union, types.UnionType):
        return _of_union(value, inner, path)
    if origin is list:
        return _of_list(value, inner[0], path)
    if origin is dict:
        return _of_dict(value, inner[1], path)
    right = value in inner if origin is Literal else kind is Any or type(value) is kind
    return iter(() if right else [f"{path} is {value!r}, not {kind}"])


def _of_union(value: Any, choices: Sequence[Any], path: str) -> Iterator[str]:
    open_ended = any(map(_lists_values, choices))
    found = [list(problems(value, c, path)) for c in choices if c is not str or not open_ended]
    if all(found):
        yield from min(found, key=len)


def _of_list(value: Any, kind: Any, path: str) -> Iterator[str]:
    if not isinstance(value, list):
        yield f"{path} is no list"
        return
    for n, each in enumerate(value):
        yield from problems(each, kind, f"{path}[{n}]")


def _of_dict(value: Any, kind: Any, path: str) -> Iterator[str]:
    if not isinstance(value, dict):
        yield f"{path} is no dict"
        return
    for name, each in value.items():
        yield from problems(each, kind, f"{path}.{name}")


@cache
def _hints(kind: Any) -> dict[str, Any]:
    names = {
        "StripeContext": StripeContext,
        "Mapping": Mapping,
    }  # which their modules do not import
    hints = get_type_hints(kind, localns=names, include_extras=True)
    if kind is not RequestOptions:  # which some types inherit; they belong in the argument beside
        hints = {name: hint for name, hint in hints.items() if name not in _hints(RequestOptions)}
    return hints


def _lists_values(kind: Any) -> bool:
    return get_origin(kind) is Literal and any(get_args(kind))


def _of_typed_dict(value: Any, kind: Any, path: str) -> Iterator[str]:
    if not isinstance(value, dict):
        yield f"{path} is no dict"
        return
    hints = _hints(kind)
    for name, each in value.items():
        if name not in hints:
            yield f"{path}.{name} is not known"
        else:
            yield from problems(each, hints[name], f"{path}.{name}")
    for name, hint in hints.items():
        if get_origin(hint) is not NotRequired and name not in value:
            yield f"{path}.{name} is missing"


@dataclass
class Answer:
    """What any request is answered: enough for our code to go on."""

    id: str = "id_1"
    url: str = "https://stripe.test/page"
    payment_intent: str = "pi_1"
    secret: str = "whsec_1"
    client_secret: str = "cs_1_secret_1"
    metadata: Mapping[str, str] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        price = {"id": "price_1", "recurring": {"interval": "month"}}
        item = {"id": "si_1", "price": price, "current_period_end": 1}
        return {"data": [], "metadata": {}, "items": {"data": [item]}}

    def auto_paging_iter(self) -> Iterator["Answer"]:
        return iter(())


@dataclass
class TypedStripe:
    """In place of a StripeClient: takes a request only as the official types have it.

    ``asked``: the calls so far, by their path. A call goes to no network.
    """

    asked: list[str] = field(default_factory=list)
    _service: Any = field(default_factory=lambda: stripe.StripeClient("sk_test_none"))
    _path: str = ""

    def __getattr__(self, name: str) -> "TypedStripe":
        if name.startswith("__"):
            raise AttributeError(name)
        path = f"{self._path}.{name}".removeprefix(".")
        return TypedStripe(self.asked, getattr(self._service, name), path)

    def __call__(self, *arguments: Any, **named: Any) -> Answer:
        given = inspect.signature(self._service).bind(*arguments, **named).arguments
        self.asked.append(self._path)
        wrong = list(problems(given.get("options", {}), RequestOptions, "options"))
        if "params" in given:
            wrong += problems(given["params"], _params_of(self._service))
        if wrong:
            raise WrongParameterError(f"{self._path}: {'; '.join(wrong)}")
        return Answer()


def _params_of(method: Any) -> Any:
    """The TypedDict of a service's method: named in its signature, defined in ``stripe.params``."""
    hint = inspect.signature(method).parameters["params"].annotation
    names = [hint, *get_args(hint)]
    name = next(n.__forward_arg__ if isinstance(n, ForwardRef) else n for n in names[::-1]
                if isinstance(n, str | ForwardRef))  # fmt: skip
    parts = type(method.__self__).__module__.split(".")[1:-1]
    return getattr(import_module(".".join(["stripe.params", *parts])), name)
