"""New keys: shaped as the API expects them, and known only by their hash."""

import hashlib
import re

import pytest
from tollkeeper_core.domain.config import Config
from tollkeeper_core.domain.links import parse_link_keys

from infra.setup.keys import new_api_key, new_link_key


def test_an_api_key_names_its_id_and_hashes_the_whole_key() -> None:
    made = new_api_key()

    assert re.fullmatch(r"tk_[0-9a-f]{8}_[0-9a-f]{64}", made.key)
    assert made.key.split("_")[1] == made.key_id
    assert made.sha256 == hashlib.sha256(made.key.encode()).hexdigest()


def test_the_configuration_takes_its_hash() -> None:
    made = new_api_key()

    config = Config.model_validate(
        {"tiers": {"free": {"limits": {}}}, "api_keys": {made.key_id: made.sha256}}
    )

    assert config.api_keys == {made.key_id: made.sha256}


def test_no_two_keys_are_alike() -> None:
    assert len({new_api_key().key for _ in range(50)}) == 50


def test_a_key_does_not_show_in_a_traceback() -> None:
    made = new_api_key()

    assert made.key not in repr(made)


@pytest.mark.parametrize("_", range(20))
def test_a_link_key_is_one_that_links_can_be_signed_with(_: int) -> None:
    (key,) = parse_link_keys(new_link_key())

    assert len(key) == 32
