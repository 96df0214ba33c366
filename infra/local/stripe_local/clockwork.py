"""What falls due later: a bank debit that settles, a session that expires."""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress

from infra.local.stripe_local.account import Account, Json
from infra.local.stripe_local.errors import StripeError

Job = Callable[[Account, Json], None]

_NAP_MAX_S = 3600.0


def schedule(account: Account, at: float, job: str, /, **arguments: str | bool | int) -> None:
    """Have the job of that name run with `arguments` once the clock in use reaches `at`."""
    account.state.jobs.append(
        {"at": at, "job": job, "arguments": arguments, "test_clock": account.test_clock}
    )
    account.stir()


def run_due(account: Account, jobs: Mapping[str, Job]) -> float:
    """Run what is due by the account's clock; return the seconds to the next job, at most 3600."""
    next_at = run_until(account, jobs, account.clock(), None)
    return _NAP_MAX_S if next_at is None else min(next_at - account.clock(), _NAP_MAX_S)


def run_until(
    account: Account, jobs: Mapping[str, Job], end: float, test_clock: str | None
) -> float | None:
    """Run a clock's jobs up to `end`, each at its own time, in order; return when the next is."""
    while True:
        mine = [job for job in account.state.jobs if job.get("test_clock") == test_clock]
        if not mine:
            return None
        entry = min(mine, key=lambda job: float(job["at"]))
        if entry["at"] > end:
            return float(entry["at"])
        account.state.jobs.remove(entry)
        # What a job is about may have been deleted meanwhile: time goes on all the same.
        with account.at(float(entry["at"]), test_clock), suppress(StripeError):
            jobs[entry["job"]](account, entry["arguments"])
        account.save()


async def keep_time(account: Account, jobs: Mapping[str, Job]) -> None:
    """Run jobs as they fall due, until cancelled."""
    stirred = asyncio.Event()
    account.watchers.append(stirred.set)
    while True:
        stirred.clear()
        nap_s = run_due(account, jobs)
        try:
            async with asyncio.timeout(nap_s):
                await stirred.wait()
        except TimeoutError:
            continue
