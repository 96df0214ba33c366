import json

import pytest
from tollkeeper_core.domain.ports import SourceError
from tollkeeper_core.domain.problems import Problem
from tollkeeper_core.services.sync_config import (
    ConfigError,
    SyncConfig,
    config_in_an_outage,
    read_config,
)

from tests.support.outside import NOW_MS, Parameters, Published, Time

FREE = json.dumps({"limits": {"daily": {"limit_usd": "0.05"}}})
TWINS = '{"name": "x", "variants": [{"name": "a"}, {"name": "a"}]}'
NO_PACK = '{"name": "x", "variants": [{"name": "a", "packs": ["p"]}]}'
GOOD = {"settings": '{"time_zone": "Europe/Berlin"}', "tiers/free": FREE}


def test_parameters_make_a_configuration() -> None:
    config = read_config(Parameters(GOOD, {"api_keys": json.dumps({"k1": "0" * 64})}))
    assert config.settings.time_zone == "Europe/Berlin"
    assert config.tiers["free"].limits
    assert config.api_keys == {"k1": "0" * 64}
    assert config.experiment is None


def test_an_experiment_is_a_parameter_of_its_own() -> None:
    experiment = '{"name": "copy", "variants": [{"name": "short"}]}'
    config = read_config(Parameters({**GOOD, "experiment": experiment}))
    assert config.experiment is not None
    assert config.experiment.split.shares == {"holdout": 1000, "short": 9000}


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"tiers/free": "{"}, "tiers/free: is not JSON"),
        ({"tiers/free": "[]"}, "tiers/free: must be a JSON object"),
        ({"tiers/free": '{"limits": {"daily": {"limit_usd": 1}}}'}, "tiers/free: limits.daily"),
        ({"settings": '{"week_start": "someday"}'}, "settings: week_start"),
        ({"typo": "{}"}, "typo: is none of settings"),
        ({"tiers": "{}"}, "tiers: is none of"),
        ({"packs/p": "{}"}, "packs/p: label"),
        ({"experiment": '{"name": "x", "variants": []}'}, "experiment: variants: List"),
        ({"experiment": TWINS}, "experiment: two variants have the same name"),
        ({"experiment": NO_PACK}, "experiment: variant 'a' shows pack 'p', but there is no"),
        ({"experiment/copy": "{}"}, "experiment/copy: is none of"),
    ],
)
def test_what_is_wrong_is_named_by_its_parameter(changed: dict[str, str], says: str) -> None:
    store = Published()
    sync = SyncConfig(Parameters({**GOOD, **changed}), store, Time())
    with pytest.raises(ConfigError, match=says):
        sync()
    assert store.config is None
    assert store.error is not None
    assert says in store.error


def test_a_good_one_takes_the_error_away() -> None:
    store = Published(error="old")
    assert SyncConfig(Parameters(GOOD), store, Time())() is True
    assert store.error is None
    assert store.version == f"at {NOW_MS}"


def test_with_neither_redis_nor_parameters_there_is_no_answer() -> None:
    class Away(Parameters):
        def read_all(self) -> dict[str, str]:
            raise SourceError("away")

    with pytest.raises(Problem) as problem:
        config_in_an_outage(Away())
    assert problem.value.status == 503
