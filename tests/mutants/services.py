"""Bugs in the Python around the scripts: services, postings, money, and the handlers."""

from tests.mutants.mutant import (
    DISPLAY,
    EDGES,
    MONEY,
    PERIODS,
    POSTINGS,
    PRICES,
    PROPERTY,
    SETTLE,
    USAGE_VIEW,
    Mutant,
)

_DOMAIN = "tollkeeper_core/domain"
_SERVICES = "tollkeeper_core/services"

_WRITE = "self.archive.write([posting for s in done for posting in settlement_postings(s)])"

ARCHIVE = (
    Mutant(
        name="archive-not-written",
        harm="Calls are charged, and the record that a rebuild needs never hears of them.",
        file=f"{_SERVICES}/settle.py",
        find=f"        {_WRITE}\n",
        replace="",
        tests=(SETTLE,),
    ),
    Mutant(
        name="archive-failure-swallowed",
        harm="S3 is down, the messages are acknowledged all the same: their record is lost.",
        file=f"{_SERVICES}/settle.py",
        find=f"        {_WRITE}\n",
        replace=(
            f"        try:\n            {_WRITE}\n"
            "        except OSError:\n            self.count('ArchiveFailed')\n"
        ),
        tests=(SETTLE,),
    ),
    Mutant(
        name="replay-not-archived",
        harm="A consumer that dies between charge and record: the redelivery records nothing.",
        file=f"{_SERVICES}/settle.py",
        find="if isinstance(outcome, Settlement)]",
        replace="if isinstance(outcome, Settlement) and not outcome.replayed]",
        tests=(SETTLE,),
    ),
)

CONSUMER = (
    Mutant(
        name="failure-acknowledged",
        harm="SQS deletes a message that was never settled: the usage is lost.",
        file="functions/log_usage/app.py",
        find="                raise NotSettledError(outcome.reason)\n",
        replace="                return\n",
        tests=(SETTLE,),
    ),
    Mutant(
        name="outcomes-mixed-up",
        harm="The wrong message of a batch is deleted: one is lost, one comes for ever.",
        file="functions/log_usage/app.py",
        find="outcomes |= zip(usage, settled, strict=True)",
        replace="outcomes |= zip(reversed(usage), settled, strict=True)",
        tests=(SETTLE,),
    ),
    Mutant(
        name="poison-message-stops-its-batch",
        harm="One message that cannot be read sends its nine neighbours to the dead letters.",
        file=f"{_SERVICES}/settle.py",
        find="outcomes[n] = Failed(_plain(error))",
        replace="raise",
        tests=(SETTLE,),
    ),
    Mutant(
        name="stale-configuration-fails-the-batch",
        harm="After a change of a parameter a warm consumer sends everything to the dead letters.",
        file=f"{_SERVICES}/settle.py",
        find="if any(isinstance(answer, StaleConfigError) for answer in answers):",
        replace="if False:",
        tests=(SETTLE,),
    ),
    Mutant(
        name="configuration-read-again-in-vain",
        harm="A warm process never takes over a new configuration: every check answers 503.",
        file=f"{_SERVICES}/config_cache.py",
        find="self._in_hand = InHand(*loaded, read_ms=self.clock())",
        replace="self._in_hand = self._in_hand or InHand(*loaded, read_ms=self.clock())",
        tests=(SETTLE,),
    ),
    Mutant(
        name="unknown-model-free",
        harm="Calls of a model that nobody prices cost their users nothing.",
        file=f"{_SERVICES}/settle.py",
        find="                raise  # waits",
        replace="                return 0  # waits",
        tests=(SETTLE,),
    ),
    Mutant(
        name="reservation-ignored-by-the-consumer",
        harm="Reported calls never let their holds go: users are blocked by calls long done.",
        file=f"{_SERVICES}/settle.py",
        find="reservation_id=event.reservation_id",
        replace="reservation_id=None",
        tests=(SETTLE,),
    ),
    Mutant(
        name="call-counted-when-it-is-settled",
        harm="A call that waited in the queue over midnight is counted on the wrong day.",
        file=f"{_SERVICES}/settle.py",
        find="periods=periods_at(config.settings.calendar, at_ms)",
        replace="periods=periods_at(config.settings.calendar, self.clock())",
        tests=(SETTLE,),
    ),
)

RECORD = (
    Mutant(
        name="posting-id-not-unique",
        harm="The archive keeps one line of each set: no set sums to zero any more.",
        file=f"{_DOMAIN}/postings.py",
        find='id=f"{set_id}:{n}"',
        replace="id=set_id",
        tests=(POSTINGS, PROPERTY),
    ),
    Mutant(
        name="posting-id-without-its-user",
        harm="Two users' events of the same id: the archive keeps one of them.",
        file=f"{_DOMAIN}/postings.py",
        find='set_id = f"settle:{_part(s.user_id)}:{_part(s.event_id)}"',
        replace='set_id = f"settle:{_part(s.event_id)}"',
        tests=(POSTINGS,),
    ),
    Mutant(
        name="postings-unbalanced",
        harm="Money appears from nowhere: what overruns is spent and funded by nobody.",
        file=f"{_DOMAIN}/postings.py",
        find="NANO_USD, -s.allowance_nano, {})",
        replace="NANO_USD, s.overrun_nano - s.allowance_nano, {})",
        tests=(POSTINGS, PROPERTY),
    ),
    Mutant(
        name="refund-of-what-was-used-not-in-sales",
        harm="A refund takes credits and leaves the sale standing: the books do not close.",
        file=f"{_DOMAIN}/postings.py",
        find='(f"sales:{c.pack}", NANO_USD, c.revoked_nano, {})',
        replace='(f"sales:{c.pack}", NANO_USD, c.revoked_nano - c.owed_nano, {})',
        tests=(POSTINGS, PROPERTY),
    ),
)

ROUNDING_AND_CALENDAR = (
    Mutant(
        name="price-rounded-down",
        harm="Each call loses half a nano on average: a sum over millions is too low.",
        file=f"{_DOMAIN}/money.py",
        find="to_integral_value(rounding=ROUND_HALF_EVEN)",
        replace='to_integral_value(rounding="ROUND_DOWN")',
        tests=(MONEY,),
    ),
    Mutant(
        name="worst-case-rounded-down",
        harm="A call may cost a nano more than was held for it.",
        file=f"{_DOMAIN}/pricing.py",
        find="-(-price // MTOK)",
        replace="price // MTOK",
        tests=(PRICES,),
    ),
    Mutant(
        name="price-step-too-early",
        harm="A prompt of exactly a price step's size is charged the higher rate.",
        file=f"{_DOMAIN}/pricing.py",
        find="if input_tokens > more_than",
        replace="if input_tokens >= more_than",
        tests=(PRICES,),
    ),
    Mutant(
        name="display-balance-rounded-up",
        harm="The page shows a cent that nobody paid for.",
        file=f"{_DOMAIN}/credits.py",
        find="return low >> 128",
        replace="return -(-low >> 128)",
        tests=(DISPLAY,),
    ),
    Mutant(
        name="display-balance-zero-too-early",
        harm="The page shows 0.00 while credits are left.",
        file=f"{_DOMAIN}/credits.py",
        find="max(1, _worth_minor(some))",
        replace="_worth_minor(some)",
        tests=(DISPLAY,),
    ),
    Mutant(
        name="display-balance-rounded-lot-by-lot",
        harm="Each lot loses its part of a cent: the page shows less than was paid.",
        file=f"{_DOMAIN}/credits.py",
        find="low = sum((above << 128) // below for above, below in parts)",
        replace="low = sum(above // below for above, below in parts) << 128",
        tests=(DISPLAY,),
    ),
    Mutant(
        name="display-balance-short-of-whole-cents",
        harm="Three thirds of a cent are shown as none.",
        file=f"{_DOMAIN}/credits.py",
        find="if low >> 128 == (low + len(parts)) >> 128:",
        replace="if True:",
        tests=(DISPLAY,),
    ),
    Mutant(
        name="percent-rounded-up",
        harm="The bar is full while calls are still admitted.",
        file=f"{_SERVICES}/usage_view.py",
        find="return used_nano * 100 // limit.limit_nano",
        replace="return -(-used_nano * 100 // limit.limit_nano)",
        tests=(USAGE_VIEW,),
    ),
    Mutant(
        name="day-begins-in-utc",
        harm="Limits reset in the middle of the users' day.",
        file=f"{_DOMAIN}/periods.py",
        find="today = datetime.fromtimestamp(at_ms / 1000, zone).date()",
        replace="today = datetime.fromtimestamp(at_ms / 1000, UTC).date()",
        tests=(PERIODS,),
    ),
    Mutant(
        name="second-midnight-taken",
        harm="Where a clock change repeats midnight, a window resets an hour late.",
        file=f"{_DOMAIN}/periods.py",
        find="datetime.combine(day, time(), zone)",
        replace="datetime.combine(day, time(fold=1), zone)",
        tests=(PERIODS,),
    ),
    Mutant(
        name="outage-for-all",
        harm="A tier that is to be closed while Redis is away is open to everybody.",
        file=f"{_DOMAIN}/rules.py",
        find='tier["outage"] == "block"',
        replace="False",
        tests=("tests/unit/test_rules.py",),
    ),
    Mutant(
        name="check-with-a-slip",
        harm="`amout_usd` passes as a check without an amount: almost nothing is held.",
        file=f"{_DOMAIN}/check_request.py",
        find='extra_behavior="forbid"',
        replace='extra_behavior="ignore"',
        tests=("tests/unit/test_check_request.py",),
    ),
    Mutant(
        name="answer-of-another-request",
        harm="A server that answers twice has the next check read another's answer.",
        file="tollkeeper_core/adapters/http1.py",
        find="keeps = ends and not self._read and",
        replace="keeps = ends and",
        tests=("tests/unit/test_http1.py",),
    ),
    Mutant(
        name="answer-cut-off",
        harm="Half an answer counts as a whole one.",
        file="tollkeeper_core/adapters/http1.py",
        find='raise WireError("closed within the body")',
        replace="break",
        tests=("tests/unit/test_http1.py",),
    ),
    Mutant(
        name="batch-answers-shifted",
        harm="After a restart of Redis the answers of a batch belong to other events.",
        file="tollkeeper_core/adapters/redis_calls.py",
        find="                answers[n] = answer\n",
        replace="                answers[-1 - n] = answer\n",
        tests=(EDGES,),
    ),
)

_AUTHENTICATE = ("tests/unit/test_authenticate.py",)
EMPTIED = (
    Mutant(
        name="emptied-redis-turns-usage-away",
        harm="Usage is answered with 503 for as long as a rebuild takes, and may be lost.",
        file=f"{_SERVICES}/authenticate.py",
        find="as nothing:\n        try:\n            in_hand",
        replace="as nothing:\n        try:\n            raise nothing\n            in_hand",
        tests=_AUTHENTICATE,
    ),
)

SERVICE_MUTANTS = (*ARCHIVE, *EMPTIED, *CONSUMER, *RECORD, *ROUNDING_AND_CALENDAR)
