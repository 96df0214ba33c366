"""What the papers name is there: links, anchors, paths, functions. Sphinx holds the rest."""

import re
import shlex
from pathlib import Path
from typing import Any

import pytest

from infra.cli.__main__ import command_parser
from tests.infra.conftest import ROOT

LINK = re.compile(r"\]\(([^)\s]+)\)")
#: Pages that are no part of the site, whose links Sphinx does not look at.
PAGES = [*ROOT.glob("*.md"), *ROOT.glob("sdk/python/*.md")]
CORE = ROOT / "layers" / "core" / "src" / "tollkeeper_core"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    broken = [link for link in LINK.findall(page.read_text()) if not leads_somewhere(page, link)]
    assert not broken


def test_a_link_into_the_void_is_noticed() -> None:
    readme = ROOT / "README.md"
    assert leads_somewhere(readme, "docs/operations.md#rotate-keys")
    assert not leads_somewhere(readme, "docs/operations.md#rotate-tyres")
    assert not leads_somewhere(readme, "docs/nothing.md")


def test_the_architecture_names_what_is_there() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text()
    named = re.findall(r"`([\w./]+/[\w./]*|[\w/]+\.(?:py|lua|yaml))`", page)
    assert len(named) > 20
    bases = (ROOT, CORE, CORE / "lua", CORE / "services" / "stripe_events", ROOT / "functions")
    bases = (*bases, *((ROOT / "functions" / name) for name in ("intercept", "upgrade_page")))
    bases = (*bases, ROOT / "sdk" / "python" / "src" / "tollkeeper")
    assert not [name for name in named if not any((base / name).exists() for base in bases)]


def test_every_function_is_named_where_a_reader_looks(template: dict[str, Any]) -> None:
    functions = {
        resource["Properties"]["Handler"].split(".")[1]
        for resource in template["Resources"].values()
        if resource["Type"] == "AWS::Serverless::Function"
    }
    assert functions
    for page in ("README.md", "docs/architecture.md", "docs/pictures/architecture.svg"):
        text = (ROOT / page).read_text()
        assert not [name for name in functions if not re.search(rf"\b{name}\b", text)], page


@pytest.mark.parametrize("page", sorted((ROOT / "docs").glob("*.md")), ids=lambda page: page.name)
def test_commands_are_what_the_program_takes(page: Path) -> None:
    for command in commands(page.read_text()):
        command_parser().parse_args(shlex.split(command)[1:])  # exits where it knows it not


def test_a_command_that_is_none_is_noticed() -> None:
    (command,) = commands("```\ntollkeeper rebild --stage prod\n```\n")
    with pytest.raises(SystemExit):
        command_parser().parse_args(shlex.split(command)[1:])
    assert len(commands((ROOT / "docs" / "operations.md").read_text())) >= 4


def commands(text: str) -> list[str]:
    """Those of our own program, as they stand in blocks; capitals stand for values."""
    blocks = re.findall(r"^ *```\n(.*?)^ *```$", text, re.MULTILINE | re.DOTALL)
    lines = [line.strip() for block in blocks for line in block.splitlines()]
    return [line.partition(" #")[0] for line in lines if line.startswith("tollkeeper ")]


def leads_somewhere(page: Path, link: str) -> bool:
    if re.match(r"[a-z]+://", link):
        return True
    path, _, anchor = link.partition("#")
    target = page.parent / path if path else page
    if not target.exists():
        return False
    return not anchor or anchor in anchors(target.read_text())


def anchors(text: str) -> set[str]:
    """Headings as GitHub makes anchors of them."""
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", h.lower()).replace(" ", "-") for h in headings}
