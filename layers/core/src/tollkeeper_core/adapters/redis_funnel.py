"""The funnel's counters in Redis, and who was seen in an experiment."""

from collections.abc import Iterator, Sequence

from tollkeeper_core.adapters import redis_keys as keys
from tollkeeper_core.adapters.redis_purchases import kept_grant_of
from tollkeeper_core.adapters.redis_store import RedisStore
from tollkeeper_core.adapters.scripts import Script, script
from tollkeeper_core.domain.experiments import Seen
from tollkeeper_core.domain.funnel import SEEN, Count, Counted, Step, StepKind, Users
from tollkeeper_core.domain.ledger import LedgerUnavailableError
from tollkeeper_core.domain.movements import Granted
from tollkeeper_core.domain.periods import Periods, Window

#: Fields of one answer, about: some hundred kilobytes.
_CHUNK = 5_000

#: Of the script's keys, the one of the window at its limit.
_WINDOW_KEYS = {Window.DAILY.value: "2", Window.WEEKLY.value: "3", Window.MONTHLY.value: "4"}


class RedisFunnel:
    """Implements FunnelStore, FunnelSource and GrantSource of funnel, and experiments.SeenSource,
    over a store's connection.
    """

    def __init__(self, store: RedisStore) -> None:
        self._store = store

    def count_steps(self, steps: Sequence[tuple[Step, Periods]]) -> list[Counted]:
        """See funnel.FunnelStore: one script a step, one request for all of them."""
        answers = self._store.run_many([_call(step, periods) for step, periods in steps])
        return [_counted(answer) for answer in answers]

    def granted(self, those: Sequence[tuple[str, str]]) -> list[Granted | None]:
        """See funnel.GrantSource."""
        found = self._store.fields([(keys.purchases(user), [name]) for user, name in those])
        return [
            None if text is None else kept_grant_of(user, text)
            for (user, _), (text,) in zip(those, found, strict=True)
        ]

    def counts(self, days: Sequence[str], periods: Sequence[str]) -> tuple[list[Count], Users]:
        """See funnel.FunnelSource. One request."""
        names = list(dict.fromkeys((*days, *periods)))
        found = dict(zip(names, self._store.hashes([keys.funnel(n) for n in names]), strict=True))
        counts = [
            Count.of(
                day,
                field.removeprefix("count|"),
                int(value),
                int(found[day].get(f"minor|{field.removeprefix('count|')}", 0)),
            )
            for day in days
            for field, value in sorted(found[day].items())
            if field.startswith("count|")
        ]
        users = {
            (period, kind): int(found[period].get(f"users|{kind}", 0))
            for period in periods
            for kind in StepKind
        }
        return counts, users

    def seen(self, experiment: str) -> Iterator[Seen]:
        """See experiments.SeenSource: one request for some thousand users."""
        # HSCAN may name a field twice while the hash grows; the later value is the newer one.
        found: dict[str, str] = {}
        for chunk in self._store.scan_hash(keys.experiment(experiment), _CHUNK):
            found |= chunk
        for field, word in found.items():
            kind, user_id = field.split("|", 1)
            if kind == StepKind.PROMPT_SHOWN:
                at_ms, arm = word.split("|")
                yield Seen(user_id, arm, int(at_ms), f"{StepKind.PAID}|{user_id}" in found)

    def of_user(self, names: Sequence[str], user_id: str) -> dict[str, dict[str, str]]:
        """What these hashes of experiments say of a user; those that say nothing left out."""
        fields = [f"{kind}|{user_id}" for kind in sorted(SEEN)]
        found = self._store.fields([(name, fields) for name in names])
        told = {
            name: {field: word for field, word in zip(fields, words, strict=True) if word}
            for name, words in zip(names, found, strict=True)
        }
        return {name: words for name, words in told.items() if words}

    def mask(self, names: Sequence[str], user_id: str, alias: str) -> int:
        """Rename a user in these hashes of experiments; answers how many fields were. It may break
        off and be done again: what has the alias keeps it.
        """
        renamed = [
            (name, field, word, f"{field.split('|', 1)[0]}|{alias}")
            for name, words in self.of_user(names, user_id).items()
            for field, word in words.items()
        ]
        self._store.rename_fields(renamed)
        return len(renamed)


def _call(step: Step, periods: Periods) -> tuple[Script, list[str], list[str]]:
    experiment, field, word = step.seen or ("", "", "")
    names = [
        keys.steps(step.user_id, step.prompt_id),
        *(keys.seen(step.user_id, period) for period in periods.ids),
        *map(keys.funnel, periods.ids),
        keys.experiment(experiment),
    ]
    limit = step.kind is StepKind.LIMIT_REACHED
    window = _WINDOW_KEYS.get(step.trigger, "0") if limit else "0"
    lives = [str(keys.STEP_S), str(keys.FUNNEL_S)]
    what = [step.kind.value, step.line(periods.ids), step.group, str(step.minor), window]
    return script("step"), names, [*what, *lives, field, word]


def _counted(answer: object) -> Counted:
    if not isinstance(answer, str) or answer[:1] not in {"0", "1"}:
        raise LedgerUnavailableError(f"step: {answer}")  # an error in place of an answer
    return Counted(answer[1:], first_of_period=answer[0] == "1")
