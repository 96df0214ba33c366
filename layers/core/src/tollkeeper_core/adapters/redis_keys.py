"""Every key in Redis, and how long it lives. Nothing else names one.

=============================  =========  =======================================================
key                            type       what, and its life
=============================  =========  =======================================================
``tk:config``                  hash       the published configuration; for ever
``tk:config:error``            string     why the newest one was refused; until it no longer is
``tk:rebuild``                 string     since when users are a rebuild's; until it is complete
``tk:prices:<version>``        hash       token prices found so far with one price list; 30 days
``tk:{u}``                     hash       a user's state; 400 days idle, for ever once bought
``tk:{u}:holds``               zset       open holds by expiry; empties itself
``tk:{u}:r:<reservation id>``  string     a check's answer; 16 days admitted, 1 day refused
``tk:{u}:e:<event id>``        string     a settled event's answer; 16 days
``tk:{u}:buys``                hash       purchases by id, and what is known of each; for ever
``tk:{u}:subs``                hash       subscriptions by id; for ever
``tk:{u}:p:<prompt id>``       string     what became of a prompt; 31 days
``tk:{u}:f:<prompt id>``       hash       steps of a prompt that were counted; 62 days
``tk:{u}:f:<period>``          set        kinds of step of that user in a period; 62 days
``tk:{u}:customer``            string     the payment provider's id of the user; for ever
``tk:{u}:topup``               string     the automatic top-up that they agreed to; for ever
``tk:funnel:<period>``         hash       counted steps and users, nobody's name; 800 days
``tk:experiment:<name>``       hash       who saw which variant and bought; 800 days
``tk:books:<month>``           hash       what each user cost and brought in; 800 days
``tk:money:<month>``           hash       Stripe's transactions that are in the books; 800 days
=============================  =========  =======================================================

``{u}`` is the percent-encoded user id in braces: the hash tag that keeps one user on one shard.
Encoding takes braces and colons out of ids, so no two names can run together.
"""

from functools import lru_cache
from urllib.parse import quote, unquote

CONFIG = "tk:config"
CONFIG_ERROR = "tk:config:error"
REBUILD = "tk:rebuild"

#: As a pattern of SCAN: every key of every user, and the states alone.
ALL_USERS = "tk:{*"
ALL_STATES = "tk:{*}"
#: What a rebuild writes: users, and the owner's books.
ALL_REBUILT = "tk:[{bm]*"

ALL_EXPERIMENTS = "tk:experiment:*"
ALL_BOOKS = "tk:books:*"
ALL_MONEY = "tk:money:*"

DAY_S = 86_400
#: SQS keeps a message for 14 days at most: an event that comes later than this cannot come at all.
SETTLED_S = 16 * DAY_S
ADMITTED_S = 16 * DAY_S
REFUSED_S = DAY_S
#: Set when it is paid, so after its link was made: it outlives every link (LINK_SECONDS_MAX in
#: domain/links.py) and the hours in which an expired one still tells what became of its purchase.
#: A link that forgot that it was paid would sell a second time what its user meant to buy once.
PROMPT_S = 31 * DAY_S
IDLE_USER_S = 400 * DAY_S
PRICES_S = 30 * DAY_S
#: Longer than a month, and the 30 days that a step may come late (funnel.STEP_AGE_MS_MAX).
STEP_S = 62 * DAY_S
#: Two years and what it takes to compare them.
FUNNEL_S = 800 * DAY_S
BOOKS_S = FUNNEL_S
#: A month's books by the id of the month, ``m:2026-11``.
BOOKS = "tk:books:"


def _name(part: str) -> str:
    return quote(part, safe="@")


@lru_cache(maxsize=1024)  # a check names three of a user's keys
def user(user_id: str) -> str:
    """The user's state, and the stem of all their keys."""
    return f"tk:{{{_name(user_id)}}}"


def user_of(key: str) -> str:
    """The inverse of ``user``."""
    return unquote(key.removeprefix("tk:{").removesuffix("}"))


def everything(user_id: str) -> str:
    """All of a user's keys, as a pattern of SCAN. Encoding leaves nothing that a pattern minds."""
    return f"{user(user_id)}*"


def holds(user_id: str) -> str:
    """Open holds by expiry."""
    return f"{user(user_id)}:holds"


def reservation(user_id: str, reservation_id: str) -> str:
    """The answer of one check."""
    return f"{user(user_id)}:r:{_name(reservation_id)}"


def event(user_id: str, event_id: str) -> str:
    """The answer of one settled event."""
    return f"{user(user_id)}:e:{_name(event_id)}"


def purchases(user_id: str) -> str:
    """Purchases by id."""
    return f"{user(user_id)}:buys"


def subscriptions(user_id: str) -> str:
    """Subscriptions by id."""
    return f"{user(user_id)}:subs"


def prompt(user_id: str, prompt_id: str) -> str:
    """What became of one showing of the upgrade page."""
    return f"{user(user_id)}:p:{_name(prompt_id)}"


def steps(user_id: str, prompt_id: str) -> str:
    """Steps of a prompt that were counted."""
    return f"{user(user_id)}:f:{_name(prompt_id)}"


def seen(user_id: str, period_id: str) -> str:
    """Kinds of step that a user was counted for in a period. No prompt's id holds a colon there."""
    return f"{user(user_id)}:f:{period_id}"


def funnel(period_id: str) -> str:
    """What was counted in a period."""
    return f"tk:funnel:{period_id}"


def books(month_id: str) -> str:
    """What was spent and paid in a month: ``cost|<tier>|<user>`` and the like (domain/books.py)."""
    return f"{BOOKS}{month_id}"


def money(month: str) -> str:
    """Transactions of a UTC month (``2026-11``) by id: what was told of each, "" once on record.

    Nobody's name is in it for longer than that takes: it outlives a user who is forgotten, so that
    their money, which stays in the books, is not counted once more.
    """
    return f"tk:money:{month}"


def experiment(name: str) -> str:
    """Who saw the page in an experiment, and who bought: ``prompt_shown|<user>`` and the like."""
    return f"tk:experiment:{name}"


def customer(user_id: str) -> str:
    """The payment provider's id of the user."""
    return f"{user(user_id)}:customer"


def top_up(user_id: str) -> str:
    """The automatic top-up that the user agreed to."""
    return f"{user(user_id)}:topup"


def prices(version: str) -> str:
    """Token prices found so far with one version of the price list."""
    return f"tk:prices:{version}"
