"""One upgrade page over parts in memory, and links to it."""

from dataclasses import dataclass, field
from typing import Any

from tollkeeper_core.domain.config import Config
from tollkeeper_core.domain.funnel import Step
from tollkeeper_core.domain.links import LINK_SECONDS, LinkClaims, LinkReason, sign_link
from tollkeeper_core.services.config_cache import ConfigCache
from tollkeeper_core.services.upgrade import UpgradeService

from tests.support.memory_ledger import MemoryBilling, MemoryConfig, MemoryLedger

KEY = bytes(range(32))
STAGE = "test"
#: 2026-11-25T12:00:00Z, a Wednesday.
NOW_MS = 1_795_608_000_000
APP = "https://app.example.com"


def example_config(**settings: Any) -> Config:
    """Two tiers, two packs, one plan."""
    return Config.model_validate(
        {
            "settings": {
                "default_tier": "free",
                "allowed_origins": [APP],
                "copy": {"title": "Keep going", "upgrade_message": "Top up & carry on."},
                **settings,
            },
            "tiers": {
                "free": {
                    "rank": 0,
                    "limits": {
                        "daily": {"limit_usd": "0.05"},
                        "weekly": {"limit_usd": "0.20"},
                        "monthly": {"limit_usd": "0.50"},
                    },
                },
                "pro": {
                    "rank": 10,
                    "limits": {
                        "daily": {"limit_usd": "1.00", "hard": True},
                        "monthly": {"limit_usd": "8.00"},
                    },
                },
            },
            "packs": {
                "plus": {
                    "label": "Plus",
                    "price_minor": 2000,
                    "credit_usd": "17.00",
                    "expires_days": 365,
                    "order": 2,
                },
                "starter": {
                    "label": "Starter",
                    "price_minor": 500,
                    "credit_usd": "4.00",
                    "expires_days": 365,
                    "order": 1,
                },
            },
            "plans": {
                "pro_monthly": {"label": "Pro", "tier": "pro", "price_minor": 1200, "order": 1}
            },
        }
    )


def in_experiment(holdout: int = 50, **variant: Any) -> Config:
    """The same, and an experiment of one variant; by halves, ada is in it and bob is held out."""
    raw = example_config().model_dump(mode="json", by_alias=True)
    raw["experiment"] = {
        "name": "copy",
        "holdout_percent": holdout,
        "variants": [{"name": "short", **variant}],
    }
    return Config.model_validate(raw)


@dataclass
class Clock:
    """A clock that tests set."""

    now_ms: int = NOW_MS

    def __call__(self) -> int:
        return self.now_ms


@dataclass
class Upgrade:
    """The service and everything around it."""

    config: MemoryConfig = field(default_factory=lambda: MemoryConfig(example_config()))
    billing: MemoryBilling = field(default_factory=MemoryBilling)
    clock: Clock = field(default_factory=Clock)
    ledger: MemoryLedger = field(init=False)
    service: UpgradeService = field(init=False)
    steps: list[Step] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.ledger = MemoryLedger(self.config)
        configs = ConfigCache(self.config.load, lambda: self.config.config, self.clock)
        self.service = UpgradeService(
            self.ledger,
            configs,
            self.billing,
            self.ledger,
            (KEY,),
            STAGE,
            self.clock,
            self.steps.extend,
        )

    def token(self, user_id: str = "ada", prompt_id: str = "prm_1", **more: Any) -> str:
        """A fresh link's token."""
        expires_ms = self.clock() + LINK_SECONDS * 1000
        return sign_link(LinkClaims(user_id, prompt_id, expires_ms, **more), KEY)

    def blocked_token(self, **more: Any) -> str:
        """The token of a link that a block at the daily limit gave."""
        return self.token(
            tier="free", reason=LinkReason("limit_reached", "daily", NOW_MS + 43_200_000), **more
        )
