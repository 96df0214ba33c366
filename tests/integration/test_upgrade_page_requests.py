"""What showing the upgrade page costs: requests to Redis, counted at the gateway."""

import pytest
from tollkeeper_core.adapters.redis_store import RedisStore
from tollkeeper_core.domain.config import Config
from tollkeeper_core.domain.periods import periods_at
from tollkeeper_core.services.config_cache import ConfigCache
from tollkeeper_core.services.upgrade import UpgradeService

from tests.support.memory_ledger import MemoryBilling
from tests.support.redis_stack import RedisStack
from tests.support.upgrade import KEY, NOW_MS, STAGE, Upgrade, example_config, in_experiment


@pytest.mark.parametrize("config", [example_config(), in_experiment(packs=["plus"])])
def test_the_page_asks_redis_twice_and_once_more_where_the_process_is_new(
    store: RedisStore, redis: RedisStack, config: Config
):
    store.publish(config, NOW_MS)
    configs = ConfigCache(store.load, lambda: config, lambda: NOW_MS)
    service = UpgradeService(
        store, configs, MemoryBilling(), store, (KEY,), STAGE, lambda: NOW_MS, [].extend
    )
    token = Upgrade().blocked_token()
    store.read("bob", None, periods_at(config.settings.calendar, NOW_MS), NOW_MS, "")  # the script
    for requests in (3, 2, 2):
        redis.reset_stats()
        service.page(token)
        assert redis.stats()["http_requests"] == requests
