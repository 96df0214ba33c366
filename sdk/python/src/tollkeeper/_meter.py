"""Metering of anything that `wrap` does not know: reserve, call, report."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from decimal import Decimal
from types import TracebackType
from typing import TYPE_CHECKING, Any

from tollkeeper._asking import Check, Reserved, ask_once, drive, drive_async
from tollkeeper._call import Settlement
from tollkeeper._types import Allowed

if TYPE_CHECKING:
    from tollkeeper._core import Core

logger = logging.getLogger("tollkeeper")


class _Metering:
    """What both kinds of meter share."""

    def __init__(self, core: Core, check: Check) -> None:
        self._core = core
        self._check = check
        self._settlement: Settlement | None = None
        #: The decision; with `reserved_usd` and `warnings`.
        self.allowed: Allowed | None = None

    def report(
        self,
        usage: Mapping[str, Any] | None = None,
        *,
        cost_usd: Decimal | str | None = None,
        model: str | None = None,
        estimated: bool = False,
    ) -> None:
        """Settle at the provider's own `usage` object, or at a cost. Counts once.

        Raises ValueError for neither or both, or for a usage without a model.
        """
        if (usage is None) == (cost_usd is None):
            raise ValueError("report usage or cost_usd: one of them")
        if usage is not None and (model or self._check.model) is None:
            raise ValueError("usage needs the model to have a price")
        self._begun().settle(usage=usage, cost_usd=cost_usd, model=model, estimated=estimated)

    def fail(self) -> None:
        """The provider charges nothing: settle at 0 and free what was reserved."""
        self._begun().not_billed()

    def _begun(self) -> Settlement:
        if self._settlement is None:
            raise RuntimeError("a meter runs within its `with` block")
        return self._settlement

    def _begin(self, reserved: Reserved) -> None:
        self.allowed = reserved.allowed
        self._settlement = Settlement(self._core, self._check, reserved)

    def _end(self, error: BaseException | None) -> None:
        settlement = self._begun()
        if isinstance(error, Exception):
            settlement.not_billed()
            return
        if error is None and settlement.is_open:
            logger.warning("a meter without a report: what was reserved is charged")
        settlement.abandon()


class Meter(_Metering):
    """Reserves at the start of a `with` block, and settles what is reported in it.

    A block that raises before a report is not charged. One that ends without any, or is cancelled,
    is charged what was reserved, marked as estimated.
    """

    def __enter__(self) -> Meter:
        self._begin(drive(ask_once(self._check), self._core.check))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._end(error)


class AsyncMeter(_Metering):
    """The same for `async with`."""

    async def __aenter__(self) -> AsyncMeter:
        self._begin(await drive_async(ask_once(self._check), self._core.acheck))
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._end(error)
