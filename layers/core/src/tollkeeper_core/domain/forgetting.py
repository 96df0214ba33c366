"""A forgotten person's postings: the amounts stay, and nobody's name is on them.

Totals, and that each set sums to zero, must survive; so lines are kept and every name in them is
replaced: the user's, and those of calls, purchases and subscriptions, by which the app or Stripe
could tell who it was. The same name is always replaced by the same one, within one person, so that
a lot still is one lot.
"""

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import quote

from tollkeeper_core.domain.postings import Posting

_ALIAS = "forgotten:"
#: An app's user ids have 128 characters at most (domain/api.py): nobody can be called an alias.
_ALIAS_LENGTH = len(_ALIAS) + 128


@dataclass(frozen=True, slots=True)
class Forgetting:
    """A person who is being forgotten. ``key``: random, and the only way from names to aliases: it
    is kept until all is done, so that a run that broke off is taken up, and then thrown away.
    """

    user_id: str
    key: str

    def digest(self, name: str) -> str:
        """What stands for a name: 128 hex digits."""
        return hmac.new(self.key.encode(), name.encode(), hashlib.sha512).hexdigest()

    @property
    def alias(self) -> str:
        """What stands for the user's id."""
        return f"{_ALIAS}{self.digest('user')}"


def is_forgotten(user_id: str) -> bool:
    """Whether postings of this name belong to nobody any more: they count, and live nowhere."""
    return len(user_id) == _ALIAS_LENGTH and user_id.startswith(_ALIAS)


def masked_step(step: Mapping[str, Any], who: Forgetting) -> dict[str, Any]:
    """A step's line without its person, whose it is: it still counts, once."""
    prompt_id = who.digest(step["prompt_id"])[:32]
    names = {"id": f"{prompt_id}:{step['step']}", "prompt_id": prompt_id, "user_id": who.alias}
    return {**step, **names}


def masked(posting: Posting, who: Forgetting) -> Posting:
    """The posting without its person; ``posting`` is one of theirs."""
    alias = quote(who.alias, safe="")
    set_id = f"{posting.kind}:{alias}:{who.digest(posting.set_id)[:32]}"
    account = posting.account.split(":", 3)
    if account[0] == "user":
        account[1] = alias
        account[3:] = [who.digest(name)[:32] for name in account[3:]]
    terms = {name: _masked_term(name, value, who) for name, value in posting.terms.items()}
    return replace(
        posting,
        id=set_id + posting.id.removeprefix(posting.set_id),
        set_id=set_id,
        user_id=who.alias,
        account=":".join(account),
        terms=terms,
    )


def _masked_term(name: str, value: Any, who: Forgetting) -> Any:
    if name.endswith("_ids"):
        return [who.digest(each)[:32] for each in value]
    return who.digest(value)[:32] if name.endswith("_id") else value
