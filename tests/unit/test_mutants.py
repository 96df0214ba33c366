"""The hunt for planted bugs: none has rotted, and the hunter tells caught from survived."""

import subprocess
from pathlib import Path

import pytest
from playwright._impl._driver import compute_driver_executable
from tollkeeper_core.adapters.scripts import script

from tests.mutants.__main__ import main
from tests.mutants.catalogue import MUTANTS
from tests.mutants.mutant import MONEY, ROOT, SOURCES, Mutant, RottenMutantError, copy_sources
from tests.mutants.runner import Outcome, baseline, hunt
from tests.support.redis_stack import RedisStack

FILE = "tollkeeper_core/domain/money.py"
CAUGHT = Mutant(
    "wrong-unit", "A dollar is worth a tenth.", FILE, "= 1_000_000_000", "= 100_000_000", (MONEY,)
)
HARMLESS = Mutant("harmless", "Nothing.", FILE, "No floats anywhere", "Not a float", (MONEY,))
NO_PROGRAM = Mutant("no-program", "Nothing runs.", FILE, "import re\n", "import\n", (MONEY,))
ROTTEN = Mutant("rotten", "Nothing is tried.", FILE, "not in there", "", (MONEY,))


def source(mutant: Mutant) -> str:
    name, _, rest = mutant.file.partition("/")
    return (SOURCES[name] / rest).read_text("utf-8")


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_no_mutant_has_rotted_and_each_is_still_a_program(
    mutant: Mutant, redis_stack: RedisStack
) -> None:
    text = mutant.mutated(source(mutant))
    if mutant.file.endswith(".py"):
        compile(text, mutant.file, "exec")
    elif mutant.file.endswith(".js"):
        node = compute_driver_executable()[0]  # the one that drives the browser
        subprocess.run([node, "--check", "-"], input=text, text=True, check=True)
    else:
        # A script that does not compile would be caught by every test, and prove nothing.
        name = Path(mutant.file).stem
        whole = script({"state": "read", "thresholds": "settle"}.get(name, name)).text
        redis_stack.direct.script_load(whole.replace(source(mutant), text))
    assert mutant.harm.endswith(".")
    assert [test for test in mutant.tests if not (ROOT / test).is_file()] == []


def test_names_are_unique_and_all_that_the_ledger_promises_is_attacked() -> None:
    names = [mutant.name for mutant in MUTANTS]
    assert len(set(names)) == len(names)
    assert {Path(mutant.file).name for mutant in MUTANTS} >= {
        *(
            "state.lua",
            "lots.lua",
            "reserve.lua",
            "settle.lua",
            "grant.lua",
            "claim.lua",
            "subscribe.lua",
        ),
        *("publish.lua", "settle.py", "postings.py", "redis_calls.py", "money.py"),
    }


def test_a_text_that_is_there_twice_is_as_rotten_as_one_that_is_not() -> None:
    for text in ("a", "a find find"):
        with pytest.raises(RottenMutantError):
            Mutant("m", "h", "f", "find", "", ()).mutated(text)


def test_the_hunter_tells_caught_from_survived_from_broken(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    planted = (CAUGHT, HARMLESS, NO_PROGRAM, ROTTEN)
    monkeypatch.setattr("tests.mutants.__main__.MUTANTS", planted)
    assert main([]) == 1
    said = capsys.readouterr().out
    assert "1 of 4 caught" in said
    assert f"SURVIVED: harmless: {HARMLESS.harm}" in said
    assert f"BROKEN: no-program: {NO_PROGRAM.harm}" in said
    assert f"BROKEN: rotten: {ROTTEN.harm}" in said
    assert main(["--only", "wrong-unit"]) == 0
    assert "1 of 1 caught" in capsys.readouterr().out
    assert main(["--only", "no such name"]) == 2


def test_the_test_that_saw_the_bug_is_named(tmp_path: Path) -> None:
    copy_sources(tmp_path)
    [verdict] = hunt(tmp_path, [CAUGHT], jobs=1)
    assert (verdict.outcome, verdict.by.partition("[")[0]) == (
        Outcome.CAUGHT,
        f"{MONEY}::test_parse_usd",
    )


def test_a_run_that_would_try_the_installed_source_says_nothing(tmp_path: Path) -> None:
    sound, output = baseline(tmp_path, [CAUGHT])  # an empty folder: nothing was copied
    assert not sound
    assert "not from the copy" in output
