"""What falls due later: a bank debit that settles, a session that expires."""

import asyncio
from collections.abc import Callable, Mapping

from infra.local.stripe_local.account import Account, Json

Job = Callable[[Account, Json], None]

_NAP_MAX_S = 3600.0


def schedule(account: Account, at: float, job: str, **arguments: str | bool) -> None:
    """Have the job of that name run with `arguments` once the account's clock reaches `at`."""
    account.state.jobs.append({"at": at, "job": job, "arguments": arguments})
    account.stir()


def run_due(account: Account, jobs: Mapping[str, Job]) -> float:
    """Run what is due, in order; return the seconds to the next job, an hour at most."""
    while account.state.jobs:
        entry = min(account.state.jobs, key=lambda job: float(job["at"]))
        wait_s = float(entry["at"]) - account.clock()
        if wait_s > 0:
            return min(wait_s, _NAP_MAX_S)
        account.state.jobs.remove(entry)
        jobs[entry["job"]](account, entry["arguments"])
        account.save()
    return _NAP_MAX_S


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
