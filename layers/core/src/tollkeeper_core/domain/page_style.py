"""How the owner has the upgrade page look and speak: ``settings.page``."""

import re
from collections.abc import Mapping
from typing import Annotated, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    model_validator,
)

#: The page's texts, by key; a test holds them against the catalogues.
TEXT_KEYS = frozenset(
    """
    title message buy_title usage daily_limit weekly_limit monthly_limit used resets at_time on_date
    balance balance_checked balance_held packs plans pack_valid pack_forever days years per_month
    per_year times_daily
    times_weekly times_monthly gives_calls gives_daily gives_weekly gives_monthly higher_limits
    credit_included trial quantity amount hard_daily
    hard_weekly hard_monthly nothing secure portal wait later waiting_title waiting_hint reopen back
    thanks_title credit_added plan_active smaller smaller_detail smaller_thanks change_waits
    keep_plan plan_kept arrived your_balance continue confirming_title confirming
    canceled_title canceled offers_again home gone slow opening popup_blocked try_again
    invalid_choice link_expired link_expired_advice link_invalid link_invalid_advice already_paid
    already_paid_advice unknown_offer unknown_offer_advice checkout_failed checkout_failed_advice
    payment_refused payment_refused_advice too_many_purchases too_many_purchases_advice unavailable
    unavailable_advice other other_advice topup_title topup_agreed topup_stopped
    topup_authentication_required topup_failures topup_no_card topup_claimed topup_failed
    topup_paused topup_off topup_pack topup_threshold topup_monthly topup_consent topup_buy topup_on
    """.split()  # noqa: SIM905
)

#: What text stands on, in page.css: the sheet, in light and in dark.
_LIGHT, _DARK = "#ffffff", "#181a20"

#: WCAG 2.2, 1.4.3: what text must differ by from what it stands on.
_CONTRAST_MIN = 4.5


def contrast(one: str, other: str) -> float:
    """The contrast of two colours such as ``#4338ca`` (WCAG 2.2): 1 to 21."""
    high, low = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def on(colour: str) -> str:
    """White or near-black, whichever is read better on this colour."""
    return max("#ffffff", "#15171c", key=lambda text: contrast(text, colour))


def _luminance(colour: str) -> float:
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def _readable(ground: str, scheme: str) -> AfterValidator:
    def check(colour: str) -> str:
        if (found := contrast(colour, ground)) < _CONTRAST_MIN:
            raise ValueError(
                f"is hard to read in the {scheme} scheme: its contrast with {ground} is "
                f"{found:.1f}, and text needs {_CONTRAST_MIN}"
            )
        return colour

    return AfterValidator(check)


def _texts(texts: dict[str, str]) -> dict[str, str]:
    if unknown := sorted(texts.keys() - TEXT_KEYS):
        raise ValueError(f"the page has no text {unknown[0]!r}")
    return texts


Language = Annotated[str, StringConstraints(pattern="^[a-z]{2,3}$")]
Colour = Annotated[str, StringConstraints(pattern="^#[0-9a-f]{6}$")]
Text = Annotated[str, StringConstraints(min_length=1, max_length=400)]
#: By language, then by key.
Texts = Annotated[
    dict[Language, Annotated[dict[str, Text], AfterValidator(_texts)]], Field(max_length=20)
]


class PageStyle(BaseModel):
    """The owner's colours, logo, radius, font and texts; what is not given is as the page has it.

    ``texts``: language -> key -> text, over the page's own, and in any other language too: what is
    not given there is English. ``language``: for a browser that names none of them.
    ``logo``: an https address, which a visitor's browser then asks, or a ``data:`` image.
    ``font``: families that the visitor has; nothing is loaded. ``estimates``: whether packs and
    plans say how many calls they are, by what the user's own cost on average (docs/overlay.md).
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    language: Language = "en"
    texts: Texts = {}
    accent: Annotated[Colour, _readable(_LIGHT, "light")] | None = None
    accent_dark: Annotated[Colour, _readable(_DARK, "dark")] | None = None
    radius: Annotated[int, Field(ge=0, le=24)] | None = None
    font: Annotated[str, StringConstraints(pattern="^[A-Za-z0-9 ,-]{1,120}$")] | None = None
    logo: (
        Annotated[
            str,
            StringConstraints(
                pattern=r"^(https://[a-z0-9.-]+(:[0-9]{1,5})?/[A-Za-z0-9._~/%?=&+-]{1,400}"
                r"|data:image/(png|webp|svg\+xml);base64,[A-Za-z0-9+/]{1,6000}={0,2})$"
            ),
        ]
        | None
    ) = None
    logo_text: Annotated[str, StringConstraints(max_length=80)] = ""
    estimates: bool = False

    @model_validator(mode="after")
    def _both_schemes(self) -> Self:
        if (self.accent is None) != (self.accent_dark is None):
            raise ValueError("accent and accent_dark go together: visitors have either scheme")
        return self

    def with_texts(self, texts: Mapping[str, Mapping[str, str]]) -> Self:
        """With these over its own, text by text."""
        both = {code: {**self.texts.get(code, {}), **own} for code, own in texts.items()}
        return self.model_copy(update={"texts": {**self.texts, **both}})

    @property
    def logo_origin(self) -> str | None:
        """Where the logo is loaded from, if from elsewhere."""
        found = re.match(r"https://[^/]+", self.logo or "")
        return found.group() if found else None
