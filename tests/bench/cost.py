"""``python -m tests.bench.cost [--quick] [--out FOLDER]``: what a million calls cost in AWS.

Counted here: commands that Upstash bills, requests, objects, and the functions' processor time.
Prices are AWS's and Upstash's lists; each has its source and its date.
"""

import argparse
import math
import os
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from rich.console import Console

from infra.local.layout import ROOT, Settings
from infra.local.stack import LocalStack
from tests.bench.report import Facts

RESULTS = ROOT / "docs/bench"
SEED = 20_261_125
BATCH = 10
DEADLINE_S = 60.0

#: us-east-1, without free tiers. US dollars.
COMMAND_USD = 0.20 / 100_000
LAMBDA_REQUEST_USD = 0.20 / 1_000_000
LAMBDA_GB_S_USD = 0.0000133334
SQS_REQUEST_USD = 0.40 / 1_000_000
S3_PUT_USD = 0.005 / 1_000
#: The template's memory, and the memory at which Lambda gives one whole processor.
MEMORY_MB, ONE_CPU_MB = 512, 1_769
#: What a function waits for Redis, SQS or S3 in its region, each time: an assumption.
WAIT_MS = 1.0
#: Send, receive and delete, each for up to ten messages.
SQS_REQUESTS = 3 / BATCH

#: A server of 4 vCPU and 8 GB on Fargate (ARM), and a db.t4g.medium; see cost_notes.md.
LITELLM_MONTH_USD = 730 * (4 * 0.03238 + 8 * 0.00356 + 0.065)


@dataclass(frozen=True, slots=True)
class Counted:
    """Of one check or one event. ``waits``: requests that the function waits for."""

    commands: float
    waits: float
    cpu_ms: float

    @property
    def billed_ms(self) -> float:
        """Lambda's milliseconds, at the template's share of a processor."""
        return self.cpu_ms * ONE_CPU_MB / MEMORY_MB + self.waits * WAIT_MS


@dataclass(frozen=True, slots=True)
class Line:
    """Dollars for a million of something."""

    what: str
    commands: float
    billed_ms: float
    upstash: float
    aws_lambda: float
    sqs: float = 0.0
    s3: float = 0.0

    @property
    def total(self) -> float:
        """All of it."""
        return self.upstash + self.aws_lambda + self.sqs + self.s3

    def plus(self, other: "Line", what: str) -> "Line":
        """Both."""
        return Line(
            what,
            self.commands + other.commands,
            self.billed_ms + other.billed_ms,
            self.upstash + other.upstash,
            self.aws_lambda + other.aws_lambda,
            self.sqs + other.sqs,
            self.s3 + other.s3,
        )

    def row(self) -> str:
        """As Markdown."""
        money = (self.upstash, self.aws_lambda, self.sqs, self.s3, self.total)
        cells = [self.what, f"{self.commands:.1f} M", f"{self.billed_ms:.1f} M"]
        return f"| {' | '.join([*cells, *(f'${usd:,.2f}' for usd in money)])} |"


class Meter:
    """Asks a running local cloud, and counts what that costs."""

    def __init__(self, stack: LocalStack, http: httpx.Client) -> None:
        self._stack = stack
        self._http = http

    def checks(self, number: int) -> Counted:
        """Of warm checks of one user."""

        def ask() -> None:
            for _ in range(number):
                self._held()

        for _ in range(20):
            self._held()
        commands, requests, cpu_ms = self._counting(["InterceptFunction"], ask)
        return Counted(commands / number, requests / number, cpu_ms / number)

    def events(self, number: int) -> tuple[Counted, float]:
        """Of calls that were checked, reported by tens; and how many objects one archives."""
        self._report([self._held()])  # what a process does once
        batches = [[self._held() for _ in range(BATCH)] for _ in range(number)]
        objects = self._objects()
        functions = ["InterceptFunction", "LogUsageFunction"]
        commands, _, cpu_ms = self._counting(functions, lambda: self._report(*batches))
        events = number * BATCH
        puts = (self._objects() - objects) / events
        # A batch is one request to Redis and one to S3; and a report is one to SQS before.
        return Counted(commands / events, 2 * puts + 1 / BATCH, cpu_ms / events), puts

    def _held(self) -> str:
        body = {"user_id": "priced", "tier": "free", "amount_usd": "0.000001"}
        return str(self._post("/v1/check", body)["reservation_id"])

    def _report(self, *batches: Sequence[str]) -> None:
        for batch in batches:
            events = [
                {
                    "event_id": f"evt-{held}",
                    "user_id": "priced",
                    "reservation_id": held,
                    "cost_usd": "0.000001",
                }
                for held in batch
            ]
            self._post("/v1/usage", {"events": events})
        self._wait_until_settled()

    def _wait_until_settled(self) -> None:
        sqs, url = self._stack.sqs(), self._stack.queue_url("UsageQueue")
        deadline = time.monotonic() + DEADLINE_S
        while True:
            found = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
            if found["ApproximateNumberOfMessages"] == "0" and (
                found["ApproximateNumberOfMessagesNotVisible"] == "0"
            ):
                return
            if time.monotonic() > deadline:
                raise RuntimeError(f"usage was not settled: {found}")
            time.sleep(0.05)

    def _post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        headers = {"Authorization": f"Bearer {self._stack.api_key}"}
        answer = self._http.post(self._stack.urls["intercept"] + path, json=body, headers=headers)
        return dict(answer.raise_for_status().json())

    def _counting(
        self, functions: Sequence[str], act: Callable[[], None]
    ) -> tuple[int, int, float]:
        """Commands billed, requests to Redis, and milliseconds of the functions' processors."""
        before, cpu_ms = self._stats(), _cpu_ms(functions)
        act()
        after = self._stats()
        return after[0] - before[0], after[1] - before[1], _cpu_ms(functions) - cpu_ms

    def _stats(self) -> tuple[int, int]:
        upstash = self._stack.upstash
        headers = {"Authorization": f"Bearer {upstash.token}"}
        found = self._http.get(f"{upstash.url}/_local/stats", headers=headers).json()
        commands = sum(found["commands"].values()) + sum(found["script_commands"].values())
        return commands, int(found["http_requests"])

    def _objects(self) -> int:
        pages = self._stack.s3().get_paginator("list_objects_v2")
        found = pages.paginate(Bucket=self._stack.bucket())
        return sum(page["KeyCount"] for page in found)


def _cpu_ms(functions: Sequence[str]) -> float:
    """Processor time of these functions' processes, user's and system's."""
    ticks = 0
    for path in Path("/proc").glob("[0-9]*/environ"):
        try:
            environment = path.read_bytes().decode(errors="replace")
            if f"LAMBDA_TASK_ROOT={ROOT}\0" in environment and any(
                f"{name}\0" in environment or f"{name}-" in environment for name in functions
            ):
                fields = (path.parent / "stat").read_text().rpartition(")")[2].split()
                ticks += int(fields[11]) + int(fields[12])
        except OSError:  # it has ended, or is another user's
            continue
    return ticks * 1000 / os.sysconf("SC_CLK_TCK")


def lines(check: Counted, event: Counted, puts: float) -> list[Line]:
    """What a million of each cost."""
    million = 1_000_000
    by_url = Line(
        "checks by the function's URL",
        check.commands,
        math.ceil(check.billed_ms),  # Lambda rounds each invocation up
        check.commands * million * COMMAND_USD,
        million * (LAMBDA_REQUEST_USD + _gb_s_usd(math.ceil(check.billed_ms))),
    )
    direct = Line("checks in direct mode", check.commands, 0, by_url.upstash, 0)
    invocations = 1 / BATCH + puts  # one report of ten, and the consumer's batch
    settled = Line(
        "settlements: report, queue, settle, archive",
        event.commands,
        event.billed_ms,
        event.commands * million * COMMAND_USD,
        million * (invocations * LAMBDA_REQUEST_USD + _gb_s_usd(event.billed_ms)),
        million * SQS_REQUESTS * SQS_REQUEST_USD,
        million * puts * S3_PUT_USD,
    )
    return [
        by_url,
        direct,
        settled,
        by_url.plus(settled, "**whole calls, by URL**"),
        direct.plus(settled, "**whole calls, direct**"),
    ]


def _gb_s_usd(ms: float) -> float:
    return ms / 1_000 * MEMORY_MB / 1_024 * LAMBDA_GB_S_USD


def page(found: Sequence[Line], check: Counted, event: Counted, facts: Facts) -> str:
    """Markdown."""
    head = [
        "a million of",
        "Upstash commands",
        "Lambda ms",
        "Upstash",
        "Lambda",
        "SQS",
        "S3",
        "sum",
    ]
    by_url = found[3]
    notes = Path(__file__).with_name("cost_notes.md").read_text("utf-8").strip()
    return "\n".join(
        [
            "# What a million calls cost",
            "",
            f"Counted by `make bench` on {facts}.",
            "",
            f"| {' | '.join(head)} |",
            "| --- |" + " ---: |" * 7,
            *(line.row() for line in found),
            "",
            f"A check took {check.commands:.1f} commands, {check.waits:.1f} requests to Redis and "
            f"{check.cpu_ms:.2f} ms of a processor here; a settlement {event.commands:.1f} "
            f"commands and {event.cpu_ms:.2f} ms, report and consumer together.",
            "",
            notes,
            "",
            "LiteLLM's proxy stands in the way of each call and does more there (it routes and "
            "caches), and sells nothing. Tollkeeper costs nothing while nobody calls. By these "
            f"prices the proxy is the cheaper one from {LITELLM_MONTH_USD / by_url.total:.0f} "
            "million whole calls a month on.",
            "",
        ]
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Count, show, and write the page unless the run is a quick one."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.cost", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a run that only shows that it runs")
    parser.add_argument("--seed", type=int, default=SEED, help="of nothing here")
    parser.add_argument("--out", type=Path, help="where cost.md is written")
    options = parser.parse_args(arguments)
    console, facts = Console(), Facts.here("", options.seed)
    out = options.out or (None if options.quick else RESULTS)
    checks, batches = (20, 2) if options.quick else (600, 30)
    with (
        LocalStack(Settings(chat=False, token_delay_ms=0)) as stack,
        httpx.Client(timeout=DEADLINE_S, trust_env=False) as http,
    ):
        meter = Meter(stack, http)
        check = meter.checks(checks)
        event, puts = meter.events(batches)
    found = lines(check, event, puts)
    for line in found:
        console.print(line.row(), highlight=False)
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        (out / "cost.md").write_text(page(found, check, event, facts), "utf-8")
        console.print(f"written to {out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
