"""What moves the ledger: settlements, grants, claims, subscriptions; and what each is answered.

All amounts are nano-USD, all instants epoch milliseconds. What a check asks is in ``ledger.py``.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum

from tollkeeper_core.domain.periods import Periods


@dataclass(frozen=True, slots=True)
class Settle:
    """Charge an AI call's actual cost and let its hold go. Idempotent by ``event_id``.

    ``periods`` are those of the call's own time; a reservation brings the periods of its check,
    which count instead.
    """

    user_id: str
    event_id: str
    cost_nano: int
    reservation_id: str | None
    periods: Periods
    now_ms: int


@dataclass(frozen=True, slots=True)
class Settlement:
    """The answer to Settle; the same for the same event, however often it comes.

    ``cost = allowance + sum of lots``, where ``allowance`` includes ``overrun``. ``expired_nano``:
    what lots past their expiry lost on this occasion. ``tier`` is the one that counted,
    ``said_tier`` the one that the app had named last ("" when it never did). ``tops_up``: credits
    fell below the threshold of the user's automatic top-up. ``crossed``: window -> percent of its
    limit (50, 80, 100) that what is settled came to with this call. ``begun``: the purchases that a
    prompt led to and of which this call is the first to use anything.
    """

    user_id: str
    event_id: str
    cost_nano: int
    allowance_nano: int
    overrun_nano: int
    lots_nano: Mapping[str, int]
    period_ids: tuple[str, str, str]
    tier: str
    said_tier: str
    expired_nano: Mapping[str, int]
    settled_ms: int
    replayed: bool
    tops_up: bool = False
    crossed: Mapping[str, int] = field(default_factory=dict)
    begun: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Cause:
    """What led to a purchase, for the funnel: a prompt, its ``trigger`` (funnel.trigger_of), the
    tier that its user had, and their ``variant`` (Step).
    """

    prompt_id: str
    trigger: str
    tier: str
    variant: str = ""


@dataclass(frozen=True, slots=True)
class Grant:
    """Credits from one purchase.

    Idempotent for ever by ``purchase_id``: Stripe's id of the payment, or of the session or invoice
    where there is none. ``paid_minor`` is what was really paid; ``worth_minor`` what the credits
    are shown as, ``paid_minor`` where it is None. ``fresh_until_ms``: until when they open little
    by little, of which ``fresh_nano`` at once; None: all of them at once. ``paid_ms``: when it was
    paid, which may be long before it is granted; None: now. ``cause``: of what is a purchase of the
    funnel; not of a renewal or an automatic top-up.
    """

    user_id: str
    purchase_id: str
    pack: str
    granted_nano: int
    paid_minor: int
    currency: str
    expires_ms: int | None
    prompt_id: str | None
    now_ms: int
    worth_minor: int | None = None
    fresh_until_ms: int | None = None
    fresh_nano: int = 0
    paid_ms: int | None = None
    cause: Cause | None = None


@dataclass(frozen=True, slots=True)
class Granted:
    """The answer to Grant; the first one, however often it comes.

    ``repaid_nano`` of it went to what was owed. ``claimed``: something is claimed back of it, maybe
    since before it was granted (events come in any order): the caller has to let that take effect
    (``Ledger.claim_again``); until then the lot is frozen.
    """

    user_id: str
    purchase_id: str
    pack: str
    granted_nano: int
    paid_minor: int
    worth_minor: int
    currency: str
    expires_ms: int | None
    fresh_until_ms: int | None
    fresh_nano: int
    granted_ms: int
    repaid_nano: int
    claimed: bool
    replayed: bool
    paid_ms: int
    cause: Cause | None = None


class Hold(IntEnum):
    """What a claim says of the lot. A lot is frozen while one of its claims is OPEN, or a WARNING
    stands that no claim has RELEASED and that is not settled by a refund of all that was paid.
    """

    NONE = 0
    RELEASED = 1
    WARNING = 2
    OPEN = 3


@dataclass(frozen=True, slots=True)
class Claim:
    """Somebody wants money of a purchase back: a refund, a dispute, a warning of fraud, or the
    owner by hand; each by an id of its own, as it stands at ``version``.

    Of one claim the largest version counts, of one purchase the sum of its claims, so that they may
    come in any order and any number. ``version``: (event's time, rank). ``taken_minor``: what it
    takes at that state of what was paid, in the purchase's currency; more than was paid is as much
    as was paid.
    """

    user_id: str
    purchase_id: str
    claim_id: str
    version: tuple[int, int]
    taken_minor: int
    hold: Hold
    now_ms: int

    def __post_init__(self) -> None:
        """Raises ValueError: the scripts keep ids in texts that have separators."""
        if not re.fullmatch(r"[\w.-]{1,128}", self.claim_id, re.ASCII):
            raise ValueError("a claim's id is letters, digits, _, . and -")


@dataclass(frozen=True, slots=True)
class Claimed:
    """What a claim did; the same for the same word on it, however often it comes.

    Signed: ``refunded_minor`` is what is taken more (or, negative, less) of what was paid than
    before, ``revoked_nano`` the same fraction of the credits, ``lots_nano`` what it moved into each
    lot (negative: out of it), ``owed_nano`` what it added to the user's debt:
    ``revoked = owed - sum of lots``. ``claim_id`` is "" for claims that came before their purchase
    and take effect with it (``Ledger.claim_again``); ``pack`` is "" for one that came before it.
    """

    user_id: str
    purchase_id: str
    claim_id: str
    version: tuple[int, int]
    taken_minor: int
    hold: Hold
    pack: str
    currency: str
    refunded_minor: int
    revoked_nano: int
    lots_nano: Mapping[str, int]
    owed_nano: int
    frozen: bool
    claimed_ms: int
    replayed: bool

    @property
    def word(self) -> str:
        """What tells it from any other word on the same purchase."""
        if not self.claim_id:
            return "granted"
        created, rank = self.version
        return f"{self.claim_id}:{created}:{rank}:{self.taken_minor}:{int(self.hold)}"


@dataclass(frozen=True, slots=True)
class SubscriptionState:
    """What Stripe says of one subscription at ``version`` (orders the events of one subscription).

    ``version``: (event's ``created``, 0 created / 1 updated / 2 deleted), the larger counts.
    ``tier`` holds until ``until_ms`` (exclusive); 0 takes it away. ``anchor_day``: the local day of
    the month on which it is billed, 0 where it is not known; ``month_until_ms``: until when that
    day counts although another one comes in its place (docs/ledger.md, "Months by the billing
    day"), 0 for not at all. ``next_plan`` follows when what is paid is over; "" for none.
    """

    user_id: str
    subscription_id: str
    plan: str
    tier: str
    until_ms: int
    version: tuple[int, int]
    prompt_id: str | None
    now_ms: int
    anchor_day: int = 0
    month_until_ms: int = 0
    next_plan: str = ""


class PromptState(StrEnum):
    """What has become of one showing of the upgrade page."""

    OPEN = "open"
    PAID = "paid"


@dataclass(frozen=True, slots=True)
class FirstPayment:
    """The invoice by which what a prompt began was first paid: a plan's, or a change of plan's."""

    user_id: str
    prompt_id: str
    invoice_id: str
    paid_ms: int
