"""docs/sdk.md says what there is."""

import inspect
import re
from pathlib import Path

import tollkeeper
from tollkeeper import BlockedError, Tollkeeper, Usage

PAGE = (Path(__file__).parents[2] / "docs" / "sdk.md").read_text()
NAMED = set(re.findall(r"`(?:tk\.)?(\w+)", PAGE)) | set(re.findall(r"`(\w+)=", PAGE))


def test_every_public_name_is_on_the_page() -> None:
    assert [n for n in tollkeeper.__all__ if n not in NAMED and n != "__version__"] == []


def test_every_method_and_setting_is_on_the_page() -> None:
    methods = [n for n in vars(Tollkeeper) | vars(Tollkeeper.__base__) if not n.startswith("_")]
    settings = [n for n in inspect.signature(Tollkeeper.__init__).parameters if n != "self"]
    assert [n for n in (*methods, *settings) if n not in NAMED] == []


def test_what_a_block_says_is_on_the_page() -> None:
    raw = {"reason": {"code": "c"}, "upgrade_message": "m", "usage": {"windows": {}, "credits": [],
           "tier": "t"}}  # fmt: skip
    attributes = [n for n in vars(BlockedError(raw)) if n not in ("raw", "affordable_usd")]
    assert [n for n in (*attributes, "checkout_url") if n not in NAMED] == []
    assert [n for n in Usage.__dataclass_fields__ if n not in NAMED] == []


def test_links_within_the_page_lead_somewhere() -> None:
    headings = {
        re.sub(r"[^\w -]", "", h).lower().replace(" ", "-")
        for h in re.findall(r"^## (.+)$", PAGE, re.MULTILINE)
    }
    assert set(re.findall(r"\]\(#([\w-]+)\)", PAGE)) <= headings
