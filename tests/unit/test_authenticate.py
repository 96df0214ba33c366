"""Whose key counts while Redis holds no configuration: usage must not be turned away meanwhile."""

from hashlib import sha256

import pytest
from tollkeeper_core.domain.config import Config
from tollkeeper_core.domain.problems import Problem, unavailable
from tollkeeper_core.services.authenticate import KEYS_AGE_MS, authenticate
from tollkeeper_core.services.config_cache import ConfigCache, UnpublishedError

from tests.support.outside import KEY, Published, Time

CONFIG = Config.model_validate(
    {
        "tiers": {"free": {"limits": {"daily": {"limit_usd": "0.50"}}}},
        "api_keys": {"k1": sha256(KEY.encode()).hexdigest()},
    }
)
STRANGER = "Bearer tk_k1_" + "x" * 32


def no_parameters() -> Config:
    raise unavailable("Neither Redis nor the parameters can be read; try again.")


def test_a_function_that_was_warm_knows_its_keys_when_redis_is_emptied() -> None:
    store, time = Published(CONFIG), Time()
    configs = ConfigCache(store.load, no_parameters, time)
    known = authenticate(configs, f"Bearer {KEY}", KEYS_AGE_MS)

    store.config = None
    time.now_ms += KEYS_AGE_MS + 1

    assert authenticate(configs, f"Bearer {KEY}", KEYS_AGE_MS) is known
    with pytest.raises(Problem, match="valid API key"):
        authenticate(configs, STRANGER, KEYS_AGE_MS)


def test_one_that_begins_on_an_emptied_redis_goes_by_the_parameters() -> None:
    configs = ConfigCache(Published(None).load, lambda: CONFIG, Time())

    assert authenticate(configs, f"Bearer {KEY}", KEYS_AGE_MS).config is CONFIG
    with pytest.raises(Problem, match="valid API key"):
        authenticate(configs, STRANGER, KEYS_AGE_MS)


def test_a_new_installation_is_told_what_to_do() -> None:
    configs = ConfigCache(Published(None).load, no_parameters, Time())

    with pytest.raises(UnpublishedError, match="put the parameters settings") as refused:
        authenticate(configs, f"Bearer {KEY}", KEYS_AGE_MS)
    assert refused.value.status == 503
    assert refused.value.headers == {"Retry-After": "1"}


def test_nothing_is_decided_by_what_is_not_published() -> None:
    """A check goes on to the script, which finds the version stale."""
    configs = ConfigCache(Published(None).load, lambda: CONFIG, Time())
    authenticate(configs, f"Bearer {KEY}", None)

    with pytest.raises(UnpublishedError):
        configs.reload()
