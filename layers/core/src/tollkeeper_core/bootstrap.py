"""The only wiring: one builder a function, made once and kept for the life of the process.

A builder imports what its function needs and nothing else: a check must not pay for boto3, Stripe
or the price list. Secrets are read when the first request needs them, not when the module is
imported: what SnapStart keeps of an import would outlive their rotation.
"""

import time
from collections.abc import Mapping
from functools import cache, lru_cache
from typing import TYPE_CHECKING

from tollkeeper_core.adapters.circuit import Circuit
from tollkeeper_core.adapters.redis_checks import RedisChecks
from tollkeeper_core.adapters.redis_http import LeanRedis
from tollkeeper_core.domain.ports import SourceError
from tollkeeper_core.services.config_cache import ConfigCache
from tollkeeper_core.settings import settings

if TYPE_CHECKING:
    from tollkeeper_core.adapters.archive import S3Archive
    from tollkeeper_core.adapters.parameter_store import ParameterStore
    from tollkeeper_core.adapters.redis_store import RedisStore
    from tollkeeper_core.domain.config import Config
    from tollkeeper_core.domain.funnel import TellSteps
    from tollkeeper_core.domain.rules import Rules
    from tollkeeper_core.services.auto_top_up import AutoTopUp
    from tollkeeper_core.services.book_money import BookMoney
    from tollkeeper_core.services.check import Check, Count
    from tollkeeper_core.services.count_steps import CountSteps
    from tollkeeper_core.services.links import Links
    from tollkeeper_core.services.reconcile import Reconcile
    from tollkeeper_core.services.report import Report
    from tollkeeper_core.services.settle import SettleUsage
    from tollkeeper_core.services.stripe_events.apply import ApplyStripeEvent
    from tollkeeper_core.services.sync_config import SyncConfig
    from tollkeeper_core.services.tell_crossings import TellCrossings
    from tollkeeper_core.services.tell_first_uses import TellFirstUses
    from tollkeeper_core.services.top_up_consent import EndTopUp
    from tollkeeper_core.services.upgrade import UpgradeService
    from tollkeeper_core.services.usage import ReadUsage, UserLinks


def clock() -> int:
    """Now, epoch milliseconds."""
    return time.time_ns() // 1_000_000


@cache
def check(count: "Count") -> "Check":
    """For intercept. ``count`` takes the name of a metric."""
    from tollkeeper_core.adapters.prices import CachedRates, GenaiPrices
    from tollkeeper_core.services.check import Check
    from tollkeeper_core.services.outage import OutagePolicy

    rates, outage = CachedRates(GenaiPrices(), _checks()), OutagePolicy(clock)
    return Check(_checks(), rules(), rates, _links(), outage, clock, count, _queue_steps(count))


@cache
def report() -> "Report":
    """For intercept's usage route: the only one that needs boto3."""
    import boto3

    from tollkeeper_core.adapters.queue import SqsUsageQueue
    from tollkeeper_core.services.report import Report

    return Report(SqsUsageQueue(boto3.client("sqs"), settings().usage_queue_url), clock)


@cache
def _links() -> "Links":
    from tollkeeper_core.services.links import Links

    return Links(settings().upgrade_page_url, lambda: _link_keys()[0], clock)


@cache
def rules() -> "ConfigCache[Rules]":
    """For intercept: what it needs of the configuration."""

    def in_an_outage() -> "Rules":
        from tollkeeper_core.domain.rules import Rules
        from tollkeeper_core.services.sync_config import config_in_an_outage

        return Rules.of_snapshot(config_in_an_outage(_parameters()).snapshot)

    return ConfigCache(_checks().load_rules, in_an_outage, clock)


@cache
def configs() -> "ConfigCache[Config]":
    """For upgrade_page: the configuration in hand."""
    return _configs_of(_store())


@cache
def read_usage() -> "ReadUsage":
    """For intercept."""
    from tollkeeper_core.services.usage import ReadUsage

    return ReadUsage(_checks(), rules(), clock)


@cache
def user_links() -> "UserLinks":
    """For intercept."""
    from tollkeeper_core.services.usage import UserLinks

    return UserLinks(rules(), _links())


@cache
def settle_usage(count: "Count") -> "SettleUsage":
    """For log_usage."""
    import boto3

    from tollkeeper_core.adapters.prices import GenaiPrices
    from tollkeeper_core.adapters.queue import SqsUsageQueue
    from tollkeeper_core.services.settle import SettleUsage

    store = _patient_store()
    top_ups = SqsUsageQueue(boto3.client("sqs"), settings().top_up_queue_url)
    configs = _configs_of(store)
    return SettleUsage(store, configs, GenaiPrices(), _archive(), clock, count, top_ups)


@cache
def tell_crossings() -> "TellCrossings":
    """For log_usage."""
    from tollkeeper_core.adapters.event_bus import EventBus
    from tollkeeper_core.services.tell_crossings import TellCrossings

    return TellCrossings(EventBus(settings().event_bus), _stage())


@cache
def tell_first_uses(count: "Count") -> "TellFirstUses":
    """For log_usage."""
    from tollkeeper_core.adapters.redis_funnel import RedisFunnel
    from tollkeeper_core.services.tell_first_uses import TellFirstUses

    return TellFirstUses(RedisFunnel(_patient_store()), count_steps(count))


def auto_top_up() -> "AutoTopUp":
    """For auto_topup. Made anew now and then, for Stripe's key may rotate."""
    return _auto_top_up(_slot())


@lru_cache(maxsize=1)
def _auto_top_up(slot: int) -> "AutoTopUp":
    from tollkeeper_core.adapters.event_bus import EventBus
    from tollkeeper_core.adapters.stripe_top_ups import StripeTopUps
    from tollkeeper_core.services.auto_top_up import AutoTopUp

    store, bus = _patient_store(), EventBus(settings().event_bus)
    billing = StripeTopUps(_secret("stripe_secret_key", slot), settings().stripe_api_base or None)
    configs = _configs_of(store)
    return AutoTopUp(store, store, billing, _archive(), bus, configs, _stage(), clock)


@cache
def count_steps(count: "Count") -> "CountSteps":
    """For log_usage, and for whoever else may count without the queue."""
    from tollkeeper_core.adapters.event_bus import EventBus
    from tollkeeper_core.adapters.redis_funnel import RedisFunnel
    from tollkeeper_core.services.count_steps import CountSteps

    store, bus = _patient_store(), EventBus(settings().event_bus)
    funnel, configs = RedisFunnel(store), _configs_of(store)
    return CountSteps(funnel, _archive(), bus, configs, _stage(), clock, count)


def _queue_steps(count: "Count") -> "TellSteps":
    from tollkeeper_core.adapters.step_queue import SqsSteps

    return SqsSteps(settings().usage_queue_url, settings().region, count)


@cache
def sync_config() -> "SyncConfig":
    """For sync_config."""
    from tollkeeper_core.services.sync_config import SyncConfig

    # The archive's client is built only where it has to be asked.
    return SyncConfig(_parameters(), _patient_store(), clock, lambda: _archive().holds_postings())


def apply_stripe_event() -> "ApplyStripeEvent":
    """For stripe_webhook. Made anew now and then, for its signing secret may rotate."""
    return _apply_stripe_event(_slot())


@lru_cache(maxsize=1)
def _apply_stripe_event(slot: int) -> "ApplyStripeEvent":
    from tollkeeper_core.adapters.event_bus import EventBus
    from tollkeeper_core.adapters.stripe_billing import StripeEvents, parse_webhook_secrets
    from tollkeeper_core.adapters.stripe_reads import StripeReads
    from tollkeeper_core.services.stripe_events.apply import ApplyStripeEvent
    from tollkeeper_core.services.stripe_events.books import Books
    from tollkeeper_core.telemetry import count

    events = StripeEvents(parse_webhook_secrets(_secret("stripe_webhook_secret", slot)))
    store, bus = _patient_store(), EventBus(settings().event_bus)
    books = Books(store, _archive(), bus, _stage(), clock, count_steps(count))
    reads = StripeReads(_secret("stripe_secret_key", slot), settings().stripe_api_base or None)
    return ApplyStripeEvent(books, events, _configs_of(store), reads)


def reconcile() -> "Reconcile":
    """For reconcile, made anew at each run."""
    from tollkeeper_core.adapters.event_bus import EventBus
    from tollkeeper_core.adapters.redis_admin import RedisAdmin
    from tollkeeper_core.adapters.stripe_lists import StripeLists
    from tollkeeper_core.adapters.stripe_reads import StripeReads
    from tollkeeper_core.services.reconcile import build_reconcile
    from tollkeeper_core.telemetry import count

    key, base = _secret("stripe_secret_key", _slot()), settings().stripe_api_base or None
    admin = RedisAdmin(_redis(None))
    return build_reconcile(
        admin,
        _archive(),
        EventBus(settings().event_bus),
        (StripeLists(key, base), StripeReads(key, base)),
        _configs_of(admin),
        _stage(),
        clock,
        count_steps(count),
    )


def book_money() -> "BookMoney":
    """For reconcile, made anew at each run."""
    from tollkeeper_core.adapters.redis_books import RedisBooks
    from tollkeeper_core.adapters.stripe_lists import StripeLists
    from tollkeeper_core.adapters.stripe_reads import StripeReads
    from tollkeeper_core.services.book_money import BookMoney

    key, base = _secret("stripe_secret_key", _slot()), settings().stripe_api_base or None
    store = _patient_store()
    stripe = (StripeLists(key, base), StripeReads(key, base))
    configs = _configs_of(store)
    return BookMoney(*stripe, RedisBooks(store), _archive(), configs, _stage(), clock)


def upgrade_service() -> "UpgradeService":
    """For upgrade_page. Made anew now and then, for its keys may rotate."""
    return _upgrade_service(_slot())


@lru_cache(maxsize=1)
def _upgrade_service(slot: int) -> "UpgradeService":
    from tollkeeper_core.adapters.stripe_billing import StripeBilling
    from tollkeeper_core.services.upgrade import UpgradeService
    from tollkeeper_core.telemetry import count

    key = _secret("stripe_secret_key", slot)
    billing = StripeBilling(key, settings().stripe_api_base or None)
    store = _store()
    tell = _queue_steps(count)
    keys = _link_keys(slot)
    return UpgradeService(store, configs(), billing, store, keys, _stage(), clock, tell)


def end_top_up() -> "EndTopUp":
    """For upgrade_page."""
    from tollkeeper_core.services.top_up_consent import EndTopUp

    return EndTopUp(_store(), _archive, _link_keys(_slot()), clock)


def _stage() -> str:
    return settings().prefix.rpartition("/")[2]


@cache
def _parameters() -> "ParameterStore":
    from tollkeeper_core.adapters.parameter_store import ParameterStore

    return ParameterStore(settings().prefix, settings().region)


@cache
def _checks() -> RedisChecks:
    """Of what somebody waits for: once Redis is known to be away, nobody waits to find it so."""
    return RedisChecks(_redis(Circuit()))


@cache
def _store() -> "RedisStore":
    """The same for more than checks."""
    from tollkeeper_core.adapters.redis_store import RedisStore

    return RedisStore(_redis(Circuit()))


@cache
def _patient_store() -> "RedisStore":
    """Of what is delivered again when it fails.

    There each waits for itself: to fail at once would take message after message from the queue,
    for none to be seen again before its visibility time-out.
    """
    from tollkeeper_core.adapters.redis_store import RedisStore

    return RedisStore(_redis(None))


def _redis(circuit: Circuit | None) -> LeanRedis:
    url, token = _secret("upstash_url"), _secret("upstash_token")
    return LeanRedis(url, token, settings().redis_deadline_s, _reset_token, circuit)


def _configs_of(store: "RedisStore") -> "ConfigCache[Config]":
    from tollkeeper_core.services.sync_config import config_in_an_outage

    return ConfigCache(store.load, lambda: config_in_an_outage(_parameters()), clock)


def _reset_token() -> str:
    """What stands for the token that Redis refused. Raises SourceError."""
    _secrets.cache_clear()
    return _secret("upstash_token")


@cache
def _archive() -> "S3Archive":
    import boto3

    from tollkeeper_core.adapters.archive import S3Archive

    return S3Archive(boto3.client("s3"), settings().archive_bucket)


def _link_keys(slot: int = 0) -> tuple[bytes, ...]:
    from tollkeeper_core.domain.links import parse_link_keys

    return parse_link_keys(_secret("link_key", slot))


def _slot() -> int:
    """Changes every five minutes: what is kept by it is read again so often, and not forever."""
    return clock() // 300_000


#: Asked for together: one request to SSM for a function's first one, whichever it needs.
_SECRETS = (
    "upstash_url",
    "upstash_token",
    "link_key",
    "stripe_secret_key",
    "stripe_webhook_secret",
)


@lru_cache(maxsize=2)
def _secrets(slot: int) -> Mapping[str, str]:
    del slot  # only tells one reading from the next
    return _parameters().read_secrets(_SECRETS)


def _secret(name: str, slot: int = 0) -> str:
    """One secret. Raises SourceError when it is missing or cannot be read."""
    if name not in _secrets(slot):
        _secrets.cache_clear()  # it may be put any moment: a new installation gets its secrets late
        if name not in _secrets(slot):
            raise SourceError(f"the parameter {settings().prefix}/secrets/{name} is missing")
    return _secrets(slot)[name]
