"""Who is in which variant: always the same one, as many as the owner says, and by nothing else."""

import json
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from tollkeeper_core.domain.config import Config
from tollkeeper_core.domain.experiments import Assignment, Experiment, Variant, assign
from tollkeeper_core.domain.split import HOLDOUT

from infra.reference import configuration
from infra.setup.parameters import read_configuration

USERS = 20_000
NAMES = st.from_regex(r"[a-z0-9][a-z0-9_-]{0,39}", fullmatch=True)


def experiment(name: str = "copy", holdout: int = 10, **weights: int) -> Experiment:
    variants = [{"name": n, "weight": w} for n, w in (weights or {"short": 1}).items()]
    return Experiment.model_validate(
        {"name": name, "holdout_percent": holdout, "variants": variants}
    )


def crowd(found: Experiment) -> Counter[str]:
    return Counter(assign(found, f"user {n}").label for n in range(USERS))


EXPERIMENTS = st.builds(
    lambda name, holdout, weights: experiment(
        name, holdout, **{f"v{n}": weight for n, weight in enumerate(weights)}
    ),
    NAMES,
    st.integers(1, 90),
    st.lists(st.integers(1, 30), min_size=1, max_size=20),
)


@given(EXPERIMENTS)
def test_shares_are_all_of_the_users_and_exact_to_one_in_ten_thousand(found: Experiment) -> None:
    total = sum(variant.weight for variant in found.variants)
    assert sum(found.split.shares.values()) == 10_000
    assert found.split.shares[HOLDOUT] == found.holdout_percent * 100
    for variant in found.variants:
        exact = (10_000 - found.split.shares[HOLDOUT]) * variant.weight / total
        assert abs(found.split.shares[variant.name] - exact) < 1


def test_what_is_left_over_goes_to_the_largest_remainders() -> None:
    # 9,000 by 7: a weight of 1 is 1285.71, of 2 is 2571.43, of 4 is 5142.86.
    assert experiment(a=1, b=2, c=4).split.shares == {
        HOLDOUT: 1000,
        "a": 1286,
        "b": 2571,
        "c": 5143,
    }
    assert experiment(a=1, b=1, c=1, holdout=1).split.shares == {
        HOLDOUT: 100,
        **dict.fromkeys("abc", 3300),
    }
    assert experiment(a=1, b=1, c=1, d=1, e=1, f=1, g=1).split.shares["g"] == 1285


@given(EXPERIMENTS, st.text(min_size=1, max_size=128).filter(lambda text: text.isprintable()))
def test_a_user_stays_where_they_are(found: Experiment, user_id: str) -> None:
    again = Experiment.model_validate_json(found.model_dump_json())
    assert assign(found, user_id) == assign(again, user_id)


def test_as_it_was_decided_for_the_users_who_are_in_one() -> None:
    # sha256sum's own word: 0x3da1b5406e706aad of "copy:ada" is 5213 modulo 10,000. A change here
    # moves people who are in a running experiment.
    found = experiment(holdout=10, short=1, long=2)
    users = ("ada", "bob", "user é", "user 2")
    assert {user: assign(found, user).label for user in users} == {
        "ada": "copy:long",
        "bob": "copy:short",
        "user é": "copy:long",
        "user 2": "copy:holdout",
    }
    initials = "".join(assign(found, str(n)).label[len("copy:")] for n in range(40))
    assert initials == "sllllsllhllllsllslllllslslhsllllssllllss"


def test_each_gets_its_part_of_a_crowd() -> None:
    found = experiment(holdout=20, short=1, long=3)
    counted = crowd(found)
    for name, buckets in found.split.shares.items():
        expected = USERS * buckets / 10_000
        # Within 4.5 standard deviations of a binomial.
        assert (
            abs(counted[f"copy:{name}"] - expected)
            < 4.5 * (expected * (1 - buckets / 10_000)) ** 0.5
        )


def test_one_experiment_says_nothing_of_another() -> None:
    first, second = experiment("copy", 50, a=1), experiment("packs", 50, a=1)
    both = Counter(
        (assign(first, f"user {n}").variant is None, assign(second, f"user {n}").variant is None)
        for n in range(USERS)
    )
    # Chi-squared of independence with one degree of freedom: 15.1 is passed by one in 10,000.
    expected = USERS / 4
    assert len(both) == 4
    assert sum((n - expected) ** 2 / expected for n in both.values()) < 15.1


def test_users_in_a_row_are_not_in_a_row() -> None:
    found = experiment("copy", 50, a=1)
    labels = [assign(found, f"user-{n:05}").label for n in range(USERS)]
    same = sum(a == b for a, b in pairwise(labels))
    assert abs(same - USERS / 2) < 4.5 * (USERS / 4) ** 0.5


def test_without_an_experiment_nobody_is_in_one() -> None:
    assert assign(None, "ada") == Assignment("", None)
    assert assign(None, "ada").packs is None


def raw(**changes: Any) -> dict[str, Any]:
    return {"name": "copy", "variants": [{"name": "short"}], **changes}


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"name": "a|b"}, "pattern"),
        ({"name": "a:b"}, "pattern"),
        ({"variants": []}, "at least 1"),
        ({"holdout_percent": 0}, "greater than or equal to 1"),
        ({"holdout_percent": 100}, "less than or equal to 99"),
        ({"variants": [{"name": "holdout"}]}, "who sees no variant"),
        ({"variants": [{"name": "a"}, {"name": "a"}]}, "same name"),
        ({"variants": [{"name": "a", "weight": 0}]}, "greater than"),
        ({"variants": [{"name": "a", "packs": ["x", "x"]}]}, "packs names one twice"),
        ({"variants": [{"name": "a", "packs": [], "plans": []}]}, "sell nothing"),
        ({"variants": [{"name": "a", "texts": {"en": {"titel": "T"}}}]}, "no text 'titel'"),
        ({"variants": [{"name": "a", "text": {}}]}, "Extra inputs"),
        ({"holdout": 5}, "Extra inputs"),
        (
            {
                "holdout_percent": 99,
                "variants": [{"name": "a", "weight": 1000}, {"name": "b", "weight": 1}],
            },
            "'b' would have no users",
        ),
    ],
)
def test_what_makes_no_sense_is_told(changed: dict[str, Any], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        Experiment.model_validate(raw(**changed))


def config(**variant: Any) -> Config:
    return Config.model_validate(
        {
            "settings": {"page": {"texts": {"en": {"title": "Mine", "wait": "Later"}}}},
            "tiers": {"free": {"limits": {}}},
            "packs": {"p": {"label": "P", "price_minor": 500, "credit_usd": "4.00"}},
            "plans": {"pro": {"label": "P", "tier": "free", "price_minor": 1200}},
            "experiment": raw(variants=[{"name": "short", **variant}]),
        }
    )


def test_a_variant_shows_only_what_there_is() -> None:
    assert config(packs=["p"], plans=["pro"]).experiment is not None
    with pytest.raises(ValidationError, match="shows pack 'gold', but there is no packs/gold"):
        config(packs=["gold"])
    with pytest.raises(ValidationError, match="shows plan 'gold', but there is no plans/gold"):
        config(plans=["gold"])


def test_a_variants_texts_stand_over_the_owners_one_by_one() -> None:
    found = config(texts={"en": {"title": "Theirs"}, "de": {"title": "Ihrer"}})
    variant = Variant.model_validate({"name": "v", "texts": {"en": {"title": "Theirs"}}})
    seen = found.as_seen_in(variant)
    assert seen.settings.page.texts == {"en": {"title": "Theirs", "wait": "Later"}}
    assert found.settings.page.texts["en"]["title"] == "Mine"
    assert found.as_seen_in(None) is found
    assert seen.packs == found.packs


def test_the_example_of_the_reference_is_one() -> None:
    example = json.loads(Path(configuration.__file__).with_name("experiment.json").read_text())
    assert read_configuration(overrides={"experiment": example})["experiment"] == example
