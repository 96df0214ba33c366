"""The page's languages: which one, what it says, how it writes money and dates.

A language is a file in ``languages/``: its texts, and what is needed to write numbers as CLDR has
them (Babel would be 30 MB of layer for six languages). The owner's texts stand above the file's.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tollkeeper_core.domain.money import minor_digits
from tollkeeper_core.domain.page_style import PageStyle

CATALOGUES: Mapping[str, Mapping[str, Any]] = {
    path.stem: json.loads(path.read_text("utf-8"))
    for path in sorted((Path(__file__).parent / "languages").glob("*.json"))
}
_FALLBACK = "en"
_RIGHT_TO_LEFT = frozenset(("ar", "dv", "fa", "he", "ku", "ps", "sd", "ug", "ur", "yi"))
_MILLION = 1_000_000


@dataclass(frozen=True, slots=True)
class Words:
    """One language, with the owner's texts over it."""

    code: str
    own: Mapping[str, str] = field(default_factory=dict)

    @property
    def locale(self) -> str:
        """For ``lang`` and for the browser's own formats."""
        return str(self._format["locale"]) if self.code in CATALOGUES else self.code

    @property
    def direction(self) -> str:
        """``ltr`` or ``rtl``."""
        return "rtl" if self.code in _RIGHT_TO_LEFT else "ltr"

    def say(self, key: str, **values: object) -> str:
        """The text, with ``{names}`` filled in; of a plural the form for ``count``."""
        text = self.own.get(key) or self._catalogue["texts"][key]
        count = values.get("count")
        if isinstance(count, int):
            values = {**values, "count": self.number(count)}
            if isinstance(text, Mapping):
                text = text.get(plural(self.code, count), text["other"])

        # Not str.format: the owner's texts are data, and a name that is none stays as it is.
        return re.sub(r"\{([a-z]+)\}", lambda name: str(values.get(name[1], name[0])), str(text))

    def around(self, key: str, name: str, **values: object) -> tuple[str, str]:
        """The text before and after ``{name}``, for markup in its place."""
        before, _, after = self.say(key, **values).partition(f"{{{name}}}")
        return before, after

    def money(self, minor: int, currency: str) -> str:
        """500, "usd" -> ``$5.00``, ``5,00 $``, ``US$ 5,00``."""
        digits = minor_digits(currency)
        whole, fraction = divmod(abs(minor), 10**digits)
        number = self.number(whole)
        if digits:
            number += f"{self._format['decimal']}{fraction:0{digits}d}"
        symbol = self._format["symbols"].get(currency)
        pattern = self._format["code" if symbol is None else "money"]
        text = pattern.format(number=number, symbol=symbol or currency.upper())
        text = f"-{text}" if minor < 0 else str(text)
        # Isolated from the words around it: "$5.00" would come apart among letters from the right.
        return f"\u2068{text}\u2069" if self.direction == "rtl" else text

    def number(self, whole: int) -> str:
        """A count, grouped as the language groups."""
        digits = f"{whole:,}"
        if len(str(whole)) < self._format["group_from"]:
            return digits.replace(",", "")
        return digits.replace(",", self._format["group"])

    def date(self, when: datetime) -> str:
        """``26 Nov 2026, 00:00 UTC``: where no script shows it in the reader's own time zone."""
        utc = when.astimezone(UTC)
        return str(
            self._format["date"].format(
                day=utc.day,
                month=self._format["months"][utc.month - 1],
                year=utc.year,
                time=f"{utc:%H:%M}",
            )
        )

    @property
    def _catalogue(self) -> Mapping[str, Any]:
        return CATALOGUES.get(self.code, CATALOGUES[_FALLBACK])

    @property
    def _format(self) -> Mapping[str, Any]:
        found: Mapping[str, Any] = self._catalogue["format"]
        return found


def words_for(style: PageStyle, asked: str | None, accept_language: str) -> Words:
    """In the language that is asked for (``?lang=``), or the browser's first that there is."""
    for wanted in (asked or "", *_preferred(accept_language), style.language):
        code = wanted.strip().lower().replace("_", "-").partition("-")[0]
        if code in CATALOGUES or code in style.texts:
            return Words(code, style.texts.get(code, {}))
    return Words(_FALLBACK, style.texts.get(_FALLBACK, {}))


def plural(code: str, count: int) -> str:
    """CLDR's category of a whole number; a language without a catalogue has English's texts."""
    if code == "ja":
        return "other"
    if count == 1 or (count == 0 and code in ("fr", "pt")):
        return "one"
    if code in ("es", "fr", "pt") and count and count % _MILLION == 0:
        return "many"
    return "other"


def _preferred(header: str) -> list[str]:
    """``de-CH, fr;q=0.8`` -> the languages, most wanted first."""
    ranked: list[tuple[float, str]] = []
    for part in header[:500].split(","):
        name, _, quality = part.strip().partition(";")
        found = re.fullmatch(r"\s*q=([01](?:\.[0-9]{0,3})?)\s*", quality) if quality else None
        weight = float(found[1]) if found else 0.0 if quality else 1.0
        if weight > 0:
            ranked.append((-weight, name))
    return [name for _, name in sorted(ranked, key=lambda one: one[0])]
