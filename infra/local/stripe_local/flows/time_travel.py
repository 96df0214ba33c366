"""Move time: of one test clock, or of the whole account. What falls due meanwhile happens."""

from infra.local.stripe_local.account import Account, Json
from infra.local.stripe_local.clockwork import run_until
from infra.local.stripe_local.errors import StripeError
from infra.local.stripe_local.events import emit
from infra.local.stripe_local.flows import subscriptions
from infra.local.stripe_local.flows.jobs import JOBS
from infra.local.stripe_local.flows.renewals import FINALIZE_S
from infra.local.stripe_local.flows.subscriptions import ENDED

_STEP_MAX_S = 2 * 366 * 24 * 3600


def advance_clock(account: Account, clock: Json, to: int) -> Json:
    """Advance a test clock. Raises StripeError (400) for one that is past or far off."""
    if to <= clock["frozen_time"]:
        raise StripeError(
            "The frozen time must be after the current frozen time.", param="frozen_time"
        )
    if to - clock["frozen_time"] > _STEP_MAX_S:
        raise StripeError(
            "You can only advance a test clock by two years at a time.", param="frozen_time"
        )
    previous = {"frozen_time": clock["frozen_time"], "status": "ready"}
    clock["status"] = "advancing"
    emit(account, "test_helpers.test_clock.advancing", clock, previous=previous)
    run_until(account, JOBS, to, clock["id"])
    clock |= {"frozen_time": to, "status": "ready"}
    emit(account, "test_helpers.test_clock.ready", clock, previous={"status": "advancing"})
    return clock


def advance_account(account: Account, by_s: float) -> None:
    """Move the time of all that is on no test clock ahead. Raises StripeError (400) for less."""
    if not 0 < by_s <= _STEP_MAX_S:
        raise StripeError("Time moves ahead only, and by two years at most at a time.")
    to = account.clock() + by_s
    run_until(account, JOBS, to, None)
    account.state.ahead_s += to - account.clock()
    account.stir()


def renew(account: Account, subscription: Json) -> Json:
    """Move time to where the next renewal of a subscription is drafted, finalized and charged."""
    if subscription["status"] in ENDED:
        raise StripeError("This subscription has ended.")
    to = subscriptions.end_of(subscription) + FINALIZE_S
    clock = account.find(subscription["test_clock"])
    if clock is not None:
        advance_clock(account, clock, to)
    else:
        advance_account(account, to - account.clock())
    return subscription
