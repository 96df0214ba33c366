"""The type of what `wrap` answers."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, Callable, Generic, TypeVar, cast

F = TypeVar("F", bound=Callable[..., Any])


class Wrapped(Generic[F]):
    """A metered method: called as the method itself, with its overloads and its result's types.

    Whose call it is, in the order of precedence: `for_user`, or the keywords `tollkeeper_user=` and
    `tollkeeper_tier=`; `with tk.user(...)` around it; the client's `get_user_id`. Only the keywords
    are not seen by type checkers: no type adds one to overloads that it does not know.
    """

    if TYPE_CHECKING:
        __call__: F
    else:

        def __call__(self, *args: Any, **kwargs: Any) -> Any:
            return self._call(*args, **kwargs)

    def __init__(self, fn: F, call: Callable[..., Any]) -> None:
        functools.update_wrapper(self, fn)
        self._call = call

    def for_user(self, user_id: str, *, tier: str | None = None) -> F:
        """The same method for calls of this user."""
        call = functools.partial(self._call, tollkeeper_user=user_id, tollkeeper_tier=tier)
        return cast(F, call)

    def __repr__(self) -> str:
        return f"<metered {getattr(self, '__qualname__', 'function')}>"
