"""What pytest is told when it hunts a mutant: ``-p tests.mutants.plugin --copy FOLDER``.

Raises before the first test where the product is imported from anywhere but the copy: a run that
tried the real source would report every bug as survived, or worse, the baseline as sound.
"""

from importlib.util import find_spec
from pathlib import Path

import pytest
from hypothesis import Phase, settings

from tests.mutants.mutant import SOURCES

# Whether a bug is found counts, not its smallest example: shrinking would take minutes. The same
# examples every time, so that a mutant is not caught on one day and missed on another.
settings.register_profile(
    "mutants", phases=(Phase.explicit, Phase.generate), derandomize=True, database=None
)


def pytest_addoption(parser: pytest.Parser) -> None:
    """The folder of the copy."""
    parser.addoption("--copy", type=Path, required=True)


def pytest_configure(config: pytest.Config) -> None:
    """Load the profile and hold the imports against the copy."""
    settings.load_profile("mutants")
    copy: Path = config.getoption("--copy")
    for name in SOURCES:
        spec = find_spec(name)
        places = [*(spec.submodule_search_locations or ())] if spec else []
        if [Path(place) for place in places] != [copy / name]:
            raise pytest.UsageError(f"{name} comes from {places}, not from the copy in {copy}")
