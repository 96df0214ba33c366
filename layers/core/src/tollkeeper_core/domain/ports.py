"""The Protocols that adapters meet. Services know these and nothing else of the outside."""

from __future__ import annotations  # a check needs none of the types that it does not name

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from tollkeeper_core.domain.announcements import Announcement
    from tollkeeper_core.domain.config import Config
    from tollkeeper_core.domain.ledger import LedgerError, Reservation, Reserve, Standing
    from tollkeeper_core.domain.movements import (
        Claim,
        Claimed,
        FirstPayment,
        Grant,
        Granted,
        PromptState,
        Settle,
        Settlement,
        SubscriptionState,
    )
    from tollkeeper_core.domain.periods import Periods
    from tollkeeper_core.domain.postings import Posting
    from tollkeeper_core.domain.pricing import TokenRates


class Limits(Protocol):
    """What the app's API asks of the live state. Raises LedgerUnavailableError as Ledger does."""

    def reserve(self, request: Reserve, config_version: str) -> Reservation:
        """Hold an amount, or say what would fit. Raises StaleConfigError, UnknownTierError."""
        ...

    def read(
        self, user_id: str, tier: str | None, periods: Periods, now_ms: int, config_version: str
    ) -> Standing:
        """Where a user stands, without changing anything. Raises as reserve does."""
        ...


class Ledger(Limits, Protocol):
    """The live state. Every mutation is atomic and idempotent by the id in its request.

    All methods raise LedgerUnavailableError when Redis is away or past its deadline, and what
    grants or takes raises NothingPublishedError while there is no configuration.
    ``config_version`` is the version of the configuration that the caller has in hand.
    """

    def settle(
        self, requests: Sequence[Settle], config_version: str
    ) -> list[Settlement | LedgerError]:
        """Settle a batch in one request, an answer or an error for each, in order."""
        ...

    def grant(self, request: Grant) -> Granted:
        """Add a lot of credits, once per purchase."""
        ...

    def claim(self, claim: Claim) -> Claimed | None:
        """Take the word on a claim; None where a newer one came before.

        The purchase need not be known yet: the claim is kept then, and ``Granted.claimed`` tells.
        """
        ...

    def claim_again(self, user_id: str, purchase_id: str, now_ms: int) -> Claimed | None:
        """Let claims take effect that came before their purchase; None where none did."""
        ...

    def first_payment(self, payment: FirstPayment) -> FirstPayment:
        """Keep it as the first one of its prompt; answers the one that is, for ever."""
        ...

    def apply_subscription(self, state: SubscriptionState) -> bool:
        """Give or take a tier; False where a newer word than this came before."""
        ...

    def prompt_state(self, user_id: str, prompt_id: str) -> PromptState:
        """What has become of one showing of the upgrade page."""
        ...


class ConfigStore(Protocol):
    """The configuration that sync_config published. Raises LedgerUnavailableError."""

    def load(self) -> tuple[str, Config] | None:
        """(version, configuration), or None where none was published yet."""
        ...

    def publish(self, config: Config, read_ms: int, *, replacing: bool = False) -> bool:
        """Make ``config`` the one that counts, whole or not at all.

        ``read_ms`` is when its source was read: an older reading never replaces a newer one
        (False then, and nothing changes). ``replacing``: raises NothingPublishedError rather than
        be the first.
        """
        ...

    def record_error(self, message: str | None, now_ms: int) -> None:
        """Keep why the newest configuration was refused, or that it no longer is (None)."""
        ...


class SourceError(Exception):
    """The parameters cannot be read at the moment."""


class ParameterSource(Protocol):
    """The owner's parameters (SSM), named without the stage's prefix. Raises SourceError."""

    def read_all(self) -> Mapping[str, str]:
        """Every parameter but the secrets."""
        ...

    def read_secrets(self, names: Iterable[str]) -> Mapping[str, str]:
        """These of ``secrets/*``, decrypted; a name that does not exist is left out."""
        ...


class Archive(Protocol):
    """The record. What is in it counts; what is not may be asked for again."""

    def write(self, postings: Sequence[Posting]) -> None:
        """Durably, before it returns; the same postings twice are harmless."""
        ...


class Announcements(Protocol):
    """Whoever of the owner's wants to hear what came about."""

    def publish(self, stage: str, announcements: Sequence[Announcement]) -> None:
        """Durably, before it returns. Raises AnnouncementError: some may have been told."""
        ...


class UsageQueue(Protocol):
    """Where usage waits until it is settled."""

    def send(self, bodies: Sequence[str]) -> list[bool]:
        """Queue each; True where it is queued for good."""
        ...


class RateSource(Protocol):
    """What a model's tokens cost."""

    def rates(self, provider: str | None, model: str, now_ms: int) -> TokenRates | None:
        """A model's rates, the highest of the coming day; None where no price is known."""
        ...


class KeptRates(RateSource, Protocol):
    """A rate source that keeps what it found."""

    def known(self, provider: str | None, model: str, now_ms: int) -> TokenRates | None:
        """What is known without asking anybody."""
        ...


class Prices(RateSource, Protocol):
    """The price list."""

    def cost_nano(
        self, provider: str | None, model: str, usage: Mapping[str, Any], at_ms: int
    ) -> int:
        """The exact cost of a provider's usage object at the time of the call.

        Rounded half-even to a nano, once. Raises UnpricedModelError, UsageError.
        """
        ...


class Clock(Protocol):
    """Now, in epoch milliseconds."""

    def __call__(self) -> int:
        """The wall clock, UTC."""
        ...
