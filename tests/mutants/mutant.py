"""One planted bug: where its text stands, and what would go wrong in the world."""

import shutil
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
#: What is copied for a bug to be planted in: import name -> its folder.
SOURCES = {
    "tollkeeper_core": ROOT / "layers/core/src/tollkeeper_core",
    "functions": ROOT / "functions",
    "tollkeeper": ROOT / "sdk/python/src/tollkeeper",
}

PROPERTY = "tests/property/test_ledger_against_model.py"
STORE = "tests/integration/test_ledger_store.py"
EDGES = "tests/integration/test_ledger_edges.py"
ACCOUNTS = "tests/integration/test_accounts.py"
OFFERS = "tests/unit/test_offers.py"
UPGRADE = "tests/unit/test_upgrade_service.py"
SETTLE = "tests/integration/test_settle_usage.py"
WEBHOOK = "tests/unit/test_stripe_event.py"
FORGERIES = "tests/integration/test_webhook_forgeries.py"
DEATHS = "tests/integration/test_webhook_deaths.py"
LIVES = "tests/property/test_life_cycles.py"
FUNNEL = "tests/integration/test_funnel.py"
DISMISSED = "tests/browser/test_dismissed.py"
FIRST_USES = "tests/integration/test_first_uses.py"
FORGET = "tests/integration/test_cli_forget.py"
PLAN_CHANGES = "tests/integration/test_plan_changes.py"
FUNNEL_STEPS = "tests/unit/test_funnel_steps.py"
BOOKS = "tests/integration/test_books.py"
BOOK_MONEY = "tests/integration/test_book_money.py"
BOOKS_FORGET = "tests/integration/test_books_forget.py"
CLI_PROFIT = "tests/integration/test_cli_profit.py"
PROFIT = "tests/unit/test_profit.py"
REBUILD = "tests/property/test_rebuild.py"
EXPERIMENTS = "tests/unit/test_experiments.py"
RESULTS = "tests/unit/test_experiment_results.py"
CONFIDENCE = "tests/unit/test_confidence.py"
PAGE = "tests/unit/test_upgrade_page.py"
BUS = "tests/integration/test_event_bus.py"
PRICES = "tests/unit/test_prices.py"
USAGE_VIEW = "tests/unit/test_usage_view.py"
DISPLAY = "tests/unit/test_display_credits.py"
POSTINGS = "tests/unit/test_postings.py"
MONEY = "tests/unit/test_money.py"
PERIODS = "tests/unit/test_periods.py"


class RottenMutantError(Exception):
    """The text that a mutant replaces is not there, or not only once: the mutant tests nothing."""


@dataclass(frozen=True, slots=True)
class Mutant:
    """``find`` becomes ``replace`` in ``file``, which must hold it exactly once.

    ``harm``: what would go wrong in the world. ``file``: below one of SOURCES, its import name
    first. ``tests``: the test files that ought to see it, the quickest first.
    """

    name: str
    harm: str
    file: str
    find: str
    replace: str
    tests: tuple[str, ...]

    def plant(self, folder: Path) -> None:
        """Change the file below ``folder``. Raises RottenMutantError."""
        path = folder / self.file
        path.write_text(self.mutated(path.read_text("utf-8")), "utf-8")

    def mutated(self, text: str) -> str:
        """The file's text with the bug. Raises RottenMutantError."""
        found = text.count(self.find)
        if found != 1:
            raise RottenMutantError(f"{self.name}: {self.file} holds its text {found} times, not 1")
        return text.replace(self.find, self.replace)


def copy_sources(folder: Path) -> None:
    """Everything that may be mutated, below ``folder``, by import name."""
    for name, source in SOURCES.items():
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(source, folder / name, ignore=ignored)
