"""EventBridge: events go to the functions whose rule matches, schedules fire by the clock."""

import asyncio
import json
import time
import uuid
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any

from infra.local.cloudformation import ACCOUNT_ID
from infra.local.lambdas.invocation import Invocation, ThrottledError
from infra.local.lambdas.pool import Pool
from infra.local.template import Schedule, short_name

# Lambda's retries of an asynchronous invocation whose function fails
# (developer guide, "How Lambda handles errors and retries with asynchronous invocation").
RETRY_DELAYS_S = (60.0, 120.0)


class PatternError(ValueError):
    """A rule's pattern uses an operator that is not known here."""


def matches(pattern: Mapping[str, Any], event: Mapping[str, Any]) -> bool:
    """Whether an event matches a rule's pattern (EventBridge user guide, "Event patterns").

    Known are nested fields, exact values and the operators `prefix`, `suffix`, `exists`,
    `anything-but` and `equals-ignore-case`; `PatternError` for any other.
    """
    return all(_field_matches(wanted, event.get(name)) for name, wanted in pattern.items())


def _field_matches(wanted: Any, value: Any) -> bool:
    if isinstance(wanted, Mapping):
        return matches(wanted, value if isinstance(value, Mapping) else {})
    values = value if isinstance(value, list) else [value]
    return any(_value_matches(option, item) for option in wanted for item in values)


def _value_matches(option: Any, value: Any) -> bool:
    if not isinstance(option, Mapping):
        # A pattern's null matches a null value, but no field that is missing; nothing here sends
        # null, so a missing field, which is None, matches nothing.
        return value is not None and type(option) is type(value) and bool(option == value)
    name, argument = next(iter(option.items()))
    text = value if isinstance(value, str) else ""
    match name:
        case "exists":
            return (value is not None) == bool(argument)
        case "anything-but":
            options = argument if isinstance(argument, list) else [argument]
            return value is not None and not any(_value_matches(item, value) for item in options)
        case "prefix":
            return bool(text) and text.startswith(str(argument))
        case "suffix":
            return bool(text) and text.endswith(str(argument))
        case "equals-ignore-case":
            return bool(text) and text.lower() == str(argument).lower()
        case _:
            raise PatternError(f"the pattern operator {name} is not known here")


def scheduled_event(schedule: Schedule, region: str) -> dict[str, Any]:
    """What a rule with a schedule sends its target."""
    rule = f"arn:aws:events:{region}:{ACCOUNT_ID}:rule/{schedule.name}"
    return {
        "version": "0",
        "id": str(uuid.uuid4()),
        "detail-type": "Scheduled Event",
        "source": "aws.events",
        "account": ACCOUNT_ID,
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "region": region,
        "resources": [rule],
        "detail": {},
    }


class EventBus:
    """Delivers events to functions, asynchronously, with Lambda's retries."""

    def __init__(
        self,
        pools: Sequence[Pool],
        region: str,
        emit: Callable[[str], None],
        retry_delays_s: Sequence[float] = RETRY_DELAYS_S,
    ) -> None:
        self._pools = pools
        self._region = region
        self._emit = emit
        self._retry_delays_s = retry_delays_s
        self._tasks: set[asyncio.Task[None]] = set()

    def start_schedules(self) -> None:
        """Fire every schedule at its rate from now on, the first time after one period."""
        for pool in self._pools:
            for schedule in pool.function.schedules:
                self._spawn(self._run_schedule(pool, schedule))

    def publish(self, event: Mapping[str, Any]) -> None:
        """Send an event to every function that has a rule for it."""
        payload = json.dumps(event).encode()
        for pool in self._pools:
            for rule in pool.function.rules:
                if matches(rule.pattern, event):
                    self.invoke_async(pool, payload)

    def invoke_async(self, pool: Pool, payload: bytes) -> None:
        """Invoke and let nobody wait; a function that fails is tried again."""
        self._spawn(self._deliver(pool, payload))

    async def close(self) -> None:
        """Drop what is under way."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _deliver(self, pool: Pool, payload: bytes) -> None:
        name = short_name(pool.function.logical_id)
        for delay_s in (*self._retry_delays_s, None):
            try:
                if not (await pool.invoke(Invocation(payload))).is_error:
                    return
            except ThrottledError:
                pass
            if delay_s is None:
                self._emit(f"{name} failed: an event is given up")
                return
            self._emit(f"{name} failed: the event comes again in {delay_s:g} s")
            await asyncio.sleep(delay_s)

    async def _run_schedule(self, pool: Pool, schedule: Schedule) -> None:
        while True:
            await asyncio.sleep(schedule.every_s)
            payload = schedule.payload or json.dumps(scheduled_event(schedule, self._region))
            self.invoke_async(pool, payload.encode())

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
