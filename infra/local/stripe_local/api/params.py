"""Check parameters against the official types that the installed `stripe` package carries.

The types are TypedDicts whose annotations mix real types with forward references into their own
module, so each annotation is resolved in that module's namespace. An enum is written
`Literal[...] | str` there, so that old clients read new values; the server itself takes only what
the Literal lists, and so does this one.
"""

import re
import sys
import types
import typing
from collections.abc import Callable
from decimal import Decimal, InvalidOperation
from functools import cache
from typing import Any, ForwardRef, get_args, get_origin

import typing_extensions
from stripe import RequestOptions, StripeObject

from infra.local.stripe_local.errors import StripeError, missing_param, unknown_param

_CLIENT_ONLY = frozenset(RequestOptions.__annotations__)
_INTEGER = re.compile(r"[+-]?[0-9]{1,18}")
_METADATA_KEYS_MAX = 50
_METADATA_KEY_MAX = 40
_METADATA_VALUE_MAX = 500

_Parser = Callable[[Any, str], Any]


def check_params(data: dict[str, Any], params: type) -> dict[str, Any]:
    """Return `data` with its strings turned into what the TypedDict `params` declares.

    Raises StripeError (400), in Stripe's words, for one that is unknown, missing or mistyped.
    """
    checked: dict[str, Any] = _typed_dict(params)(data, "")
    return checked


@cache
def _typed_dict(params: type) -> _Parser:
    fields = {
        name: annotation
        for name, annotation in params.__annotations__.items()
        if name not in _CLIENT_ONLY
    }
    required: frozenset[str] = getattr(params, "__required_keys__", frozenset()) - _CLIENT_ONLY
    namespace = vars(sys.modules[params.__module__])
    # Resolved on first use: a session's parameters have over a hundred nested types.
    parsers: dict[str, _Parser] = {}

    def parse(value: Any, path: str) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise StripeError("Invalid object", param=path)
        for name in value:
            if name not in fields:
                raise unknown_param(_join(path, name))
        for name in sorted(required):
            if name not in value:
                raise missing_param(_join(path, name))
            if value[name] == "":
                raise _empty(_join(path, name))
        answer = {}
        for name, item in value.items():
            if name not in parsers:
                parsers[name] = _parser(_resolve(fields[name], namespace))
            answer[name] = parsers[name](item, _join(path, name))
        return answer

    return parse


def _join(path: str, name: str) -> str:
    return f"{path}[{name}]" if path else name


def _resolve(annotation: Any, namespace: dict[str, Any]) -> Any:
    """Turn strings and forward references, however deep, into types."""
    while True:
        if isinstance(annotation, ForwardRef):
            annotation = annotation.__forward_arg__
        if isinstance(annotation, str):
            # The text is the installed package's own source, never a request's.
            annotation = eval(annotation, dict(namespace))  # noqa: S307
        elif get_origin(annotation) in (typing.NotRequired, typing_extensions.NotRequired):
            (annotation,) = get_args(annotation)
        else:
            break
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin in (list, dict) or (origin and _is_mapping(origin)):
        return types.GenericAlias(
            origin, tuple(_resolve(argument, namespace) for argument in arguments)
        )
    if origin in (typing.Union, types.UnionType):
        return typing.Union[tuple(_resolve(argument, namespace) for argument in arguments)]  # noqa: UP007 - built at run time
    return annotation


def _is_mapping(origin: Any) -> bool:
    return origin is dict or (isinstance(origin, type) and issubclass(origin, StripeObject))


def _parser(annotation: Any) -> _Parser:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin in (typing.Union, types.UnionType):
        return _union(arguments)
    if origin is typing.Literal:
        return _enum(arguments)
    if origin is list:
        return _list(_parser(arguments[0]))
    if origin is not None and _is_mapping(origin):
        return _mapping(_parser(arguments[-1]))
    if annotation in _SCALARS:
        return _SCALARS[annotation]
    return _typed_dict(annotation)


def _union(arguments: tuple[Any, ...]) -> _Parser:
    """Pick by the value's form: a listed word, a hash, or a scalar."""
    words = [word for a in arguments if get_origin(a) is typing.Literal for word in get_args(a)]
    others = [a for a in arguments if get_origin(a) is not typing.Literal]
    if any(word != "" for word in words):
        others = [a for a in others if a is not str]
    hashes = [_parser(a) for a in others if a not in _SCALARS]
    scalars = [_parser(a) for a in others if a in _SCALARS]

    def parse(value: Any, path: str) -> Any:
        if isinstance(value, str) and value in words:
            return value
        choices = hashes if isinstance(value, dict) and hashes else (scalars or hashes)
        if words and not choices:
            return _enum(tuple(words))(value, path)
        failure: StripeError | None = None
        for choice in choices:
            try:
                return choice(value, path)
            except StripeError as error:
                failure = failure or error
        assert failure is not None  # noqa: S101 - a union has a member
        raise failure

    return parse


def _enum(words: tuple[str, ...]) -> _Parser:
    def parse(value: Any, path: str) -> str:
        if not isinstance(value, str) or value not in words:
            listed = [word for word in words if word]
            choice = (
                f"one of {', '.join(listed[:-1])}, or {listed[-1]}"
                if len(listed) > 1
                else listed[0]
            )
            raise StripeError(f"Invalid {path}: must be {choice}", param=path)
        return value

    return parse


def _list(item: _Parser) -> _Parser:
    def parse(value: Any, path: str) -> list[Any]:
        if not isinstance(value, dict) or not all(key.isdecimal() for key in value):
            raise StripeError("Invalid array", param=path)
        ordered = sorted(value.items(), key=lambda pair: int(pair[0]))
        return [item(element, f"{path}[{index}]") for index, element in ordered]

    return parse


def _mapping(item: _Parser) -> _Parser:
    def parse(value: Any, path: str) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise StripeError("Invalid object", param=path)
        if path == "metadata" or path.endswith("[metadata]"):
            _check_metadata(value, path)
        return {key: item(element, f"{path}[{key}]") for key, element in value.items()}

    return parse


def _check_metadata(value: dict[str, Any], path: str) -> None:
    """Source: https://docs.stripe.com/metadata (50 keys, names to 40, values to 500 characters)."""
    if len(value) > _METADATA_KEYS_MAX:
        raise StripeError(f"Metadata can have at most {_METADATA_KEYS_MAX} keys.", param=path)
    for key, text in value.items():
        where = f"{path}[{key}]"
        if len(key) > _METADATA_KEY_MAX:
            raise StripeError(
                f"Invalid metadata key: must be at most {_METADATA_KEY_MAX} characters", param=where
            )
        if isinstance(text, str) and len(text) > _METADATA_VALUE_MAX:
            raise StripeError(
                f"Invalid string: must be at most {_METADATA_VALUE_MAX} characters", param=where
            )


def _empty(path: str) -> StripeError:
    return StripeError(
        f"You passed an empty string for '{path}'. We assume empty values are an attempt to unset "
        f"a parameter; however '{path}' cannot be unset.",
        code="parameter_invalid_empty",
        param=path,
    )


def _string(value: Any, path: str) -> str:
    if not isinstance(value, str):
        raise StripeError(f"Invalid string: {value}", param=path)
    return value


def _integer(value: Any, path: str) -> int:
    if not isinstance(value, str) or _INTEGER.fullmatch(value) is None:
        raise StripeError(f"Invalid integer: {value}", code="parameter_invalid_integer", param=path)
    return int(value)


def _boolean(value: Any, path: str) -> bool:
    if value not in ("true", "false"):
        raise StripeError(f"Invalid boolean: {value}", param=path)
    return bool(value == "true")


def _decimal(value: Any, path: str) -> Decimal:
    try:
        number = Decimal(_string(value, path))
    except InvalidOperation:
        number = Decimal("nan")
    if not number.is_finite():
        raise StripeError(f"Invalid decimal: {value}", param=path)
    return number


def _float(value: Any, path: str) -> float:
    return float(_decimal(value, path))


_SCALARS: dict[Any, _Parser] = {
    str: _string,
    int: _integer,
    bool: _boolean,
    float: _float,
    Decimal: _decimal,
}
