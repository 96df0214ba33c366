"""Lists: newest first, filtered, a page at a time. Source: https://docs.stripe.com/api/pagination."""

from collections.abc import Callable, Iterable
from itertools import islice
from operator import ge, gt, le, lt

from infra.local.stripe_local.account import Json
from infra.local.stripe_local.api.call import Call
from infra.local.stripe_local.errors import StripeError, no_such
from infra.local.stripe_local.objects.platform import listing

_LIMIT_DEFAULT = 10
_LIMIT_MAX = 100
_PAGING = frozenset({"limit", "starting_after", "ending_before", "created"})
_COMPARE: dict[str, Callable[[int, int], bool]] = {"gt": gt, "gte": ge, "lt": lt, "lte": le}


def list_objects(
    call: Call,
    kind: str,
    *,
    equal: Iterable[str] = (),
    keep: Callable[[Json], bool] = lambda _: True,
    handled: Iterable[str] = (),
) -> Json:
    """Answer a list of the account's objects of `kind`.

    `equal` names the parameters that select on the field of the same name; `keep` selects on the
    parameters in `handled`. A filter named by neither is refused, never ignored.
    """
    return page(call, call.account.each(kind), equal=equal, keep=keep, handled=handled)


def page(
    call: Call,
    objects: Iterable[Json],
    *,
    equal: Iterable[str] = (),
    keep: Callable[[Json], bool] = lambda _: True,
    handled: Iterable[str] = (),
) -> Json:
    """Answer one page of `objects`, which come in the order of the list."""
    equal = tuple(equal)
    for name in call.params:
        if name not in _PAGING and name not in equal and name not in handled:
            raise StripeError(f"Local Stripe does not filter lists by `{name}`.", param=name)
    wanted = {name: call.params[name] for name in equal if name in call.params}
    matching = [
        obj
        for obj in objects
        if all(obj[name] == value for name, value in wanted.items())
        and _created_within(obj, call.params.get("created"))
        and keep(obj)
    ]
    return _cut(call, matching)


def _created_within(obj: Json, bounds: Json | int | None) -> bool:
    if bounds is None:
        return True
    if isinstance(bounds, int):
        return bool(obj["created"] == bounds)
    return all(_COMPARE[name](obj["created"], bound) for name, bound in bounds.items())


def _cut(call: Call, objects: list[Json]) -> Json:
    params = call.params
    limit = params.get("limit", _LIMIT_DEFAULT)
    if not 1 <= limit <= _LIMIT_MAX:
        bound = "less than or equal to 100" if limit > _LIMIT_MAX else "greater than or equal to 1"
        raise StripeError(
            f"This value must be {bound} (it currently is '{limit}').",
            code="parameter_invalid_integer",
            param="limit",
        )
    if "starting_after" in params and "ending_before" in params:
        raise StripeError(
            "You may only specify one of these parameters: starting_after, ending_before.",
            param="starting_after",
        )
    if "ending_before" in params:
        # The page just before the object, in the same order: the last `limit` of what precedes it.
        before = objects[: _position(call, objects, "ending_before")]
        return listing(before[-limit:], url=call.path, has_more=len(before) > limit)
    first = _position(call, objects, "starting_after") + 1 if "starting_after" in params else 0
    data = list(islice(objects, first, first + limit))
    return listing(data, url=call.path, has_more=len(objects) > first + limit)


def _position(call: Call, objects: list[Json], param: str) -> int:
    wanted = call.params[param]
    for index, obj in enumerate(objects):
        if obj["id"] == wanted:
            return index
    raise no_such("object", wanted, param=param, status=400)
