"""Automatic top-ups: what a user agrees to, the steps of an attempt, and where it stands.

The user's consent travels with a purchase of theirs, as its terms do: that purchase keeps the card
at the payment provider, and the agreement holds once it is paid.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol, Self

from tollkeeper_core.domain.offers import PackTerms, read_number

_BELOW = "topup_below_nano"
_MONTHLY = "topup_monthly_max"
_BELOW_NANO_MAX = 10**15
_MONTHLY_MAX = 1000

#: Text by text, as the script keeps them (lua/top_up.lua); ``sent`` is no business of the record.
Fields = Mapping[str, str]
SENT = "sent"


class Mandate(StrEnum):
    """Whether the user has it on; STOPPED: not by the user."""

    ON = "on"
    OFF = "off"
    STOPPED = "stopped"


class Outcome(StrEnum):
    """What became of an attempt. LAPSED: it never reached the payment provider."""

    NONE = ""
    OPEN = "open"
    PAID = "paid"
    FAILED = "failed"
    LAPSED = "lapsed"


@dataclass(frozen=True, slots=True)
class Consent:
    """What a payer ticked beside a pack: a payment of the same once less than ``below_nano`` of
    credit is left, ``monthly_max`` times a calendar month at most.
    """

    below_nano: int
    monthly_max: int

    def metadata(self) -> dict[str, str]:
        """What is sent along with the purchase."""
        return {_BELOW: str(self.below_nano), _MONTHLY: str(self.monthly_max)}

    @classmethod
    def read(cls, metadata: Mapping[str, object]) -> Self | None:
        """What came back; None where nothing was agreed to. Raises TermsError."""
        if _BELOW not in metadata:
            return None
        return cls(
            read_number(metadata, _BELOW, _BELOW_NANO_MAX),
            read_number(metadata, _MONTHLY, _MONTHLY_MAX),
        )


class Step(Protocol):
    """One step of an automatic top-up, idempotent."""

    @property
    def user_id(self) -> str:
        """Whose it is."""
        ...

    def words(self) -> Sequence[str]:
        """As lua/top_up.lua takes it."""
        ...


@dataclass(frozen=True, slots=True)
class Agree:
    """The user agreed at ``agreed_ms``, with a purchase that is paid by now."""

    terms: PackTerms
    consent: Consent
    purchase_id: str
    agreed_ms: int

    @property
    def user_id(self) -> str:
        """See Step."""
        return self.terms.user_id

    def words(self) -> Sequence[str]:
        """See Step."""
        terms, consent = self.terms, self.consent
        return [
            "agree",
            str(self.agreed_ms),
            self.purchase_id,
            terms.prompt_id,
            terms.pack,
            str(terms.credit_nano),
            str(terms.price_minor),
            terms.currency,
            "" if terms.expires_days is None else str(terms.expires_days),
            str(consent.below_nano),
            str(consent.monthly_max),
        ]


@dataclass(frozen=True, slots=True)
class End:
    """The user wants it no more."""

    user_id: str

    def words(self) -> Sequence[str]:
        """See Step."""
        return ["end"]


@dataclass(frozen=True, slots=True)
class Begin:
    """Claim the next attempt, unless something stands against it.

    ``month`` (a period's id) ends at ``month_ends_ms``. ``sent``: what will be sent to the payment
    provider, kept so that a repetition sends the same. ``put_off_ms``: not before then.
    """

    user_id: str
    month: str
    month_ends_ms: int
    cooldown_ms: int
    failures_max: int
    sent: str
    put_off_ms: int | None = None

    def words(self) -> Sequence[str]:
        """See Step."""
        return [
            "begin",
            self.month,
            str(self.month_ends_ms),
            str(self.cooldown_ms),
            str(self.failures_max),
            self.sent,
            "0" if self.put_off_ms is None else "1",
            str(self.put_off_ms or 0),
        ]


@dataclass(frozen=True, slots=True)
class Close:
    """What became of an attempt; ``why`` it failed: the payment provider's code."""

    user_id: str
    attempt_id: str
    outcome: Outcome
    why: str = ""

    def words(self) -> Sequence[str]:
        """See Step."""
        return ["close", self.attempt_id, self.outcome, self.why]


@dataclass(frozen=True, slots=True)
class TopUp:
    """Where a user's automatic top-up stands. ``why`` it stopped, or why the last attempt failed.

    ``paid``: payments in ``month``, an open attempt included. ``wait_ms``: none begins before.
    """

    fields: Fields

    @property
    def seq(self) -> int:
        """Rises with each change."""
        return int(self.fields["seq"])

    @property
    def mandate(self) -> Mandate:
        """Whether it is on."""
        return Mandate(self.fields["mandate"])

    @property
    def why(self) -> str:
        """``authentication_required``, ``failures``, ``no_card``, ``claimed``, or a code."""
        return self.fields["why"]

    @property
    def purchase_id(self) -> str:
        """The purchase with which it was agreed to."""
        return self.fields["purchase_id"]

    @property
    def attempt_id(self) -> str:
        """The last attempt, or ""."""
        return self.fields["attempt_id"]

    @property
    def attempt_ms(self) -> int:
        """When the last attempt began, or 0."""
        return int(self.fields["attempt_ms"])

    @property
    def outcome(self) -> Outcome:
        """Of the last attempt."""
        return Outcome(self.fields["outcome"])

    @property
    def is_current(self) -> bool:
        """Whether the last attempt is on what is agreed now."""
        agreed, _, _ = self.attempt_id.rpartition(".")
        return self.mandate is Mandate.ON and agreed == self.purchase_id

    @property
    def wait_ms(self) -> int:
        """Not before this."""
        return int(self.fields["wait_ms"])

    @property
    def monthly_max(self) -> int:
        """Payments a calendar month, at most."""
        return int(self.fields["monthly_max"])

    @property
    def below_nano(self) -> int:
        """With less credit than this a payment is made."""
        return int(self.fields["below_nano"])

    @property
    def sent(self) -> str:
        """What the open attempt sends (see Begin); "" where that is not known any more."""
        return self.fields.get(SENT, "")

    def terms(self, user_id: str, fresh: tuple[int, int]) -> PackTerms:
        """The pack as it was agreed to; ``fresh``: hours, and nano open at once."""
        days = self.fields["expires_days"]
        return PackTerms(
            user_id=user_id,
            prompt_id=self.fields["prompt_id"],
            pack=self.fields["pack"],
            credit_nano=int(self.fields["credit_nano"]),
            price_minor=int(self.fields["price_minor"]),
            currency=self.fields["currency"],
            expires_days=int(days) if days else None,
            fresh_hours=fresh[0],
            fresh_nano=fresh[1],
        )


@dataclass(frozen=True, slots=True)
class Stepped:
    """What a step did, in one word, and where it stands since; None: nothing was ever agreed to."""

    effect: str
    top_up: TopUp | None


class TopUpLedger(Protocol):
    """Takes steps. Raises LedgerUnavailableError, NothingPublishedError."""

    def top_up(self, step: Step, now_ms: int) -> Stepped:
        """Atomic; the same step again changes nothing more."""
        ...


@dataclass(frozen=True, slots=True)
class SavedCard:
    """The card of a purchase, kept for later at the payment provider."""

    customer_id: str
    payment_method_id: str


@dataclass(frozen=True, slots=True)
class Charge:
    """One payment off session. ``attempt_id`` makes it one, however often it is asked for."""

    card: SavedCard
    amount_minor: int
    currency: str
    metadata: Mapping[str, str]
    attempt_id: str


class ChargeFailedError(Exception):
    """The bank said no, and nothing was taken; ``code`` says why."""

    def __init__(self, code: str) -> None:
        super().__init__(f"not paid: {code}")
        self.code = code


class TopUpBilling(Protocol):
    """Raises BillingError where the effect is not known: the same is to be asked again."""

    def saved_card(self, payment_intent_id: str) -> SavedCard | None:
        """The card that a purchase was paid by, if it is still kept."""
        ...

    def charge(self, charge: Charge) -> None:
        """Take the payment. Raises ChargeFailedError."""
        ...

    def find(self, customer_id: str, attempt_id: str, since_s: int) -> bool:
        """Whether an attempt is paid or may yet be; False: it never came there.

        Raises ChargeFailedError.
        """
        ...
