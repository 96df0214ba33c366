"""Each command: a connection -> a service -> what came of it. Answers the exit code."""

import os
import secrets
import sys
import time
from argparse import Namespace
from datetime import UTC, datetime

from tollkeeper_core.adapters.event_bus import EventBus
from tollkeeper_core.adapters.redis_books import RedisBooks
from tollkeeper_core.adapters.redis_funnel import RedisFunnel
from tollkeeper_core.adapters.stripe_lists import StripeLists
from tollkeeper_core.adapters.stripe_reads import StripeReads
from tollkeeper_core.adapters.workbench import open_workbench
from tollkeeper_core.domain.money import format_minor, format_usd
from tollkeeper_core.domain.movements import Hold
from tollkeeper_core.domain.record import RecordError
from tollkeeper_core.services.book_money import BookMoney
from tollkeeper_core.services.config_cache import ConfigCache
from tollkeeper_core.services.count_steps import CountSteps
from tollkeeper_core.services.export import Export
from tollkeeper_core.services.forget import Forget
from tollkeeper_core.services.rebuild import Rebuild
from tollkeeper_core.services.reconcile import build_reconcile
from tollkeeper_core.services.sync_config import SyncConfig, config_in_an_outage
from tollkeeper_core.services.take_back import TakeBack
from tollkeeper_core.services.verify import Verify

from infra.cli.connection import Connection
from infra.cli.screen import confirm, progress, say, show_differences

#: How often, and how many seconds apart, a user who differs is looked at: a settlement is on record
#: a moment after it is made.
_TRIES, _PAUSE_S = 4, 3.0
_STRIPE_KEY = "stripe_secret_key"


def clock() -> int:
    """Now, epoch milliseconds."""
    return time.time_ns() // 1_000_000


def rebuild(at: Connection, options: Namespace) -> int:
    """The state of an emptied Redis, from the archive."""
    service = Rebuild(
        at.record,
        at.admin,
        open_workbench,
        SyncConfig(at.source, at.admin, clock),
        clock,
        time.sleep,
        options.grace,
    )
    service.refuse(force=options.force)
    what = "Delete every user's state in" if options.force else "Write the archive into"
    confirm(f"{what} the Redis of stage {at.stage}?", yes=options.yes)
    with progress() as tell:
        done = service(tell, force=options.force)
    say(
        f"✓ Users: {done.users}, from {done.postings} postings in {done.objects} objects; settled "
        f"events that are known again: {done.settlements}. Traffic is let in.",
        "green",
    )
    say("  Redrive the dead-letter queue if usage came to lie there meanwhile (docs/ledger.md).")
    for user_id, problem in done.problems:
        say(f"  ! {user_id}: {problem}", "yellow")
    if done.problems_count > len(done.problems):
        say(f"  ! {done.problems_count - len(done.problems)} more: tollkeeper verify", "yellow")
    return 0


def verify(at: Connection, _: Namespace) -> int:
    """1 where live state and archive differ."""
    service = Verify(at.record, at.admin, open_workbench, clock, time.sleep, _TRIES, _PAUSE_S)
    with progress() as tell:
        count = show_differences(service(tell))
    if not count:
        say("✓ Live state and archive agree.", "green")
        return 0
    say(f"✗ {count} differences.", "red")
    return 1


def export(at: Connection, options: Namespace) -> int:
    """JSON on stdout."""
    with progress() as tell:
        for piece in Export(at.record, at.admin, open_workbench)(options.user, tell):
            sys.stdout.write(piece)
    return 0


def forget(at: Connection, options: Namespace) -> int:
    """A person, away for good."""
    confirm(
        f"Forget {options.user!r} in stage {at.stage}: their credits, tier and usage are gone, and "
        "nothing brings them back?",
        yes=options.yes,
    )
    with progress() as tell:
        done = Forget(at.record, at.admin, lambda: secrets.token_hex(64))(options.user, tell)
    say(
        f"✓ {done.keys} keys deleted; {done.postings} postings in {done.objects} objects bear no "
        "name any more.",
        "green",
    )
    return 0


def reconcile(at: Connection, options: Namespace) -> int:
    """What Stripe's events did not tell, from its lists."""
    key = at.source.read_secrets([_STRIPE_KEY]).get(_STRIPE_KEY)
    if key is None:
        raise RecordError(f"The parameter /tollkeeper/{at.stage}/secrets/{_STRIPE_KEY} is missing.")
    base = os.environ.get("STRIPE_API_BASE")
    bus = EventBus(options.event_bus, at.region)
    configs = ConfigCache(at.admin.load, lambda: config_in_an_outage(at.source), clock)
    funnel = RedisFunnel(at.admin)
    steps = CountSteps(funnel, at.record, bus, configs, at.stage, clock, lambda _: None)
    lists, reads = StripeLists(key, base), StripeReads(key, base)
    books = RedisBooks(at.admin)
    money = BookMoney(lists, reads, books, at.record, configs, at.stage, clock)
    service = build_reconcile(
        at.admin,
        at.record,
        bus,
        (lists, reads),
        configs,
        at.stage,
        clock,
        steps,
    )
    since_s = int(datetime.combine(options.since, datetime.min.time(), UTC).timestamp())
    with progress() as tell:
        done = service(since_s, tell)
        booked = money(since_s, tell)
    looked_at = ", ".join(f"{n} {kind}" for kind, n in sorted(done.looked_at.items())) or "nothing"
    say(f"Looked at {looked_at}; {done.ours} of them are this stage's.")
    found = ", ".join(f"{n} {kind}" for kind, n in sorted(done.news.items()) if n)
    say(f"✓ Applied what was missing: {found}." if found else "✓ Nothing was missing.", "green")
    say(f"✓ Booked {booked.booked} of {booked.looked_at} transactions anew.", "green")
    for problem in done.problems:
        say(f"  ! {problem}", "yellow")
    if done.problems_count > len(done.problems):
        say(f"  ! {done.problems_count - len(done.problems)} more", "yellow")
    for txn_id in booked.unclear:
        say(f"  ! {txn_id}: is this stage's and names no user", "yellow")
    return 1 if done.problems_count or booked.unclear else 0


def revoke(at: Connection, options: Namespace) -> int:
    """Credits, taken back by hand."""
    hand = TakeBack(at.admin, at.record, clock)
    claimed = hand.refund(options.user, options.purchase, options.refunded)
    taken_nano = -sum(claimed.lots_nano.values())
    say(
        f"✓ {format_minor(claimed.taken_minor, claimed.currency)} of {claimed.purchase_id} are "
        f"refunded: {format_usd(taken_nano)} USD of AI spend taken from their credits, "
        f"{format_usd(claimed.owed_nano)} USD were used already and are owed.",
        "green",
    )
    return 0


def freeze(at: Connection, options: Namespace) -> int:
    """What is left of a purchase, kept from being used."""
    TakeBack(at.admin, at.record, clock).hold(options.user, options.purchase, Hold.OPEN)
    say(f"✓ What is left of {options.purchase} is frozen (tollkeeper thaw ends it).", "green")
    return 0


def thaw(at: Connection, options: Namespace) -> int:
    """The end of that, and of a warning of fraud that turned out to be none."""
    TakeBack(at.admin, at.record, clock).hold(options.user, options.purchase, Hold.RELEASED)
    say(f"✓ What is left of {options.purchase} may be used.", "green")
    return 0
