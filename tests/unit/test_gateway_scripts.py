"""Scripts that begin with Upstash's `#!lua` line."""

import hashlib

import pytest

from infra.local.gateway.resp import ErrorReply
from infra.local.gateway.scripts import SCRIPTS_MAX, ScriptShebangs

SCRIPT = b"#!lua flags=allow-key-locking\nreturn 1"
STRIPPED = b"\nreturn 1"


def sha1(text: bytes) -> bytes:
    return hashlib.sha1(text, usedforsecurity=False).hexdigest().encode()


def test_eval_loses_the_line_and_evalsha_of_the_original_text_finds_the_script() -> None:
    scripts = ScriptShebangs()
    assert scripts.outgoing([b"EVALSHA", sha1(SCRIPT), b"0"])[1] == sha1(SCRIPT)
    assert scripts.outgoing([b"eval", SCRIPT, b"1", b"k"]) == [b"eval", STRIPPED, b"1", b"k"]
    for sha in (sha1(SCRIPT), sha1(SCRIPT).upper()):
        assert scripts.outgoing([b"evalsha", sha, b"0"]) == [b"evalsha", sha1(STRIPPED), b"0"]


def test_script_load_answers_the_sha_of_the_original_text() -> None:
    scripts = ScriptShebangs()
    load = [b"SCRIPT", b"load", SCRIPT]
    assert scripts.outgoing(load) == [b"SCRIPT", b"load", STRIPPED]
    assert scripts.incoming(load, sha1(STRIPPED)) == sha1(SCRIPT)
    assert scripts.outgoing([b"SCRIPT", b"EXISTS", b"x", sha1(SCRIPT)])[2:] == [
        b"x",
        sha1(STRIPPED),
    ]
    assert scripts.incoming(load, ErrorReply(b"ERR no")) == ErrorReply(b"ERR no")


@pytest.mark.parametrize(
    "script", [b"return 1", b"#!luajit\nreturn 1", b"#!python\nx", b"\n#!lua\nreturn 1", b""]
)
def test_other_scripts_stay_as_they_are(script: bytes) -> None:
    scripts = ScriptShebangs()
    assert scripts.outgoing([b"EVAL", script, b"0"]) == [b"EVAL", script, b"0"]
    assert scripts.incoming([b"SCRIPT", b"LOAD", script], b"sha") == b"sha"


@pytest.mark.parametrize("command", [[b"EVAL"], [b"EVALSHA"], [b"SCRIPT"], [b"SCRIPT", b"LOAD"]])
def test_commands_without_their_arguments_pass_for_redis_to_refuse(command: list[bytes]) -> None:
    scripts = ScriptShebangs()
    assert scripts.outgoing(command) == command
    error = ErrorReply(b"ERR wrong number of arguments")
    assert scripts.incoming(command, error) is error


def test_only_so_many_scripts_are_remembered_the_oldest_goes_first() -> None:
    scripts = ScriptShebangs()
    texts = [SCRIPT + b" -- %d" % number for number in range(SCRIPTS_MAX + 1)]
    for text in texts:
        scripts.outgoing([b"EVAL", text, b"0"])
    known = [scripts.outgoing([b"EVALSHA", sha1(text)])[1] != sha1(text) for text in texts]
    assert known == [False] + [True] * SCRIPTS_MAX
