"""Signed links: what they carry, and everything that must not pass for one."""

import base64
import json
import subprocess
import sys
from hashlib import sha256
from hmac import digest

import pytest
from tollkeeper_core.domain.links import (
    LinkClaims,
    LinkError,
    LinkReason,
    parse_link_keys,
    sign_link,
    upgrade_url,
    verify_link,
)

KEY = bytes(range(32))
OTHER = bytes(range(1, 33))
NOW_MS = 1_795_608_000_000
CLAIMS = LinkClaims(
    user_id="ada@example.com",
    prompt_id="prm_1",
    expires_ms=NOW_MS + 900_000,
    tier="free",
    reason=LinkReason("limit_reached", "daily", NOW_MS + 3_600_000),
    origin="https://app.example.com",
)


def forge(body: bytes, key: bytes = KEY, version: int = 1) -> str:
    """A token with any body, signed as the real ones are."""
    key_id = sha256(b"tollkeeper link key " + key).digest()[:4]
    signed = bytes((version,)) + key_id + body
    return base64.urlsafe_b64encode(signed + digest(key, signed, "sha256")).rstrip(b"=").decode()


def test_a_link_carries_its_claims():
    assert verify_link(sign_link(CLAIMS, KEY), [KEY], NOW_MS) == CLAIMS


def test_what_is_optional_may_be_left_out():
    claims = LinkClaims("ada", "prm_1", NOW_MS + 1)
    assert verify_link(sign_link(claims, KEY), [KEY], NOW_MS) == claims


def test_a_token_needs_no_escaping_and_opens_the_page():
    claims = LinkClaims("ü" * 128, "prm_1", NOW_MS + 1)
    token = sign_link(claims, KEY)
    assert set(token) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")
    assert upgrade_url("https://page.test/", token) == f"https://page.test/upgrade?t={token}"
    assert verify_link(token, [KEY], NOW_MS) == claims


def test_keys_rotate():
    token = sign_link(CLAIMS, KEY)
    assert verify_link(token, [OTHER, KEY], NOW_MS) == CLAIMS
    with pytest.raises(LinkError, match="not valid"):
        verify_link(token, [OTHER], NOW_MS)


def test_it_expires_to_the_millisecond():
    token = sign_link(CLAIMS, KEY)
    assert verify_link(token, [KEY], CLAIMS.expires_ms - 1) == CLAIMS
    with pytest.raises(LinkError) as late:
        verify_link(token, [KEY], CLAIMS.expires_ms)
    assert late.value.expired
    assert verify_link(token, [KEY], CLAIMS.expires_ms + 999, late_ms=1000) == CLAIMS
    with pytest.raises(LinkError):
        verify_link(token, [KEY], CLAIMS.expires_ms + 1000, late_ms=1000)


def test_one_users_signature_does_not_fit_another_user():
    ours, theirs = (
        base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
        for token in (
            sign_link(LinkClaims("ada", "prm_1", NOW_MS + 1), KEY),
            sign_link(LinkClaims("bob", "prm_1", NOW_MS + 1), KEY),
        )
    )
    spliced = base64.urlsafe_b64encode(ours[:-32] + theirs[-32:]).rstrip(b"=").decode()
    with pytest.raises(LinkError) as refused:
        verify_link(spliced, [KEY], NOW_MS)
    assert not refused.value.expired


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"{}",
        b'["ada","prm_1",1795608000001,null,null]',
        b'["ada","prm_1",1795608000001,null,null,null,null]',
        b'["","prm_1",1795608000001,null,null,null]',
        b'["ada","",1795608000001,null,null,null]',
        b'[1,"prm_1",1795608000001,null,null,null]',
        b'["ada","prm_1",true,null,null,null]',
        b'["ada","prm_1",1795608000001.0,null,null,null]',
        b'["ada","prm_1","1795608000001",null,null,null]',
        b'["ada","prm_1",1795608000001,1,null,null]',
        b'["ada","prm_1",1795608000001,null,["limit"],null]',
        b'["ada","prm_1",1795608000001,null,[1,null,null],null]',
        b'["ada","prm_1",1795608000001,null,7,null]',
        b'["ada","prm_1",1795608000001,null,null,["x"]]',
        b"\xff\xfe",
        b'["ada","prm_1",179560800000',
    ],
)
def test_signed_nonsense_is_refused(body: bytes):
    with pytest.raises(LinkError, match="not valid"):
        verify_link(forge(body), [KEY], NOW_MS)


def test_another_version_is_refused():
    body = json.dumps(["ada", "prm_1", NOW_MS + 1, None, None, None]).encode()
    assert verify_link(forge(body), [KEY], NOW_MS).user_id == "ada"
    with pytest.raises(LinkError):
        verify_link(forge(body, version=2), [KEY], NOW_MS)


@pytest.mark.parametrize("token", ["", "A", "AAAA", "é" * 80, "=" * 80, "A" * 100_000, "a b"])
def test_what_is_no_token_is_refused(token: str):
    with pytest.raises(LinkError):
        verify_link(token, [KEY], NOW_MS)


@pytest.mark.parametrize("change", ["{}=", "{}==", " {}", "{}\n", "{}.", "%41{}"])
def test_one_link_has_one_spelling(change: str):
    with pytest.raises(LinkError):
        verify_link(change.format(sign_link(CLAIMS, KEY)), [KEY], NOW_MS)


def test_the_last_characters_unused_bits_are_not_free():
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    for user in ("a", "ab", "abc"):  # every remainder of the length
        token = sign_link(LinkClaims(user, "prm_1", NOW_MS + 1), KEY)
        accepted = []
        for letter in letters:
            try:
                verify_link(token[:-1] + letter, [KEY], NOW_MS)
            except LinkError:
                continue
            accepted.append(letter)
        assert accepted == [token[-1]]


def test_the_secret_is_one_key_or_two():
    first, second = KEY.hex(), OTHER.hex().upper()
    assert parse_link_keys(first) == (KEY,)
    assert parse_link_keys(f"{first}, {second}") == (KEY, OTHER)


@pytest.mark.parametrize(
    "secret", ["", "ab", "zz" * 32, ",", f"{'ab' * 32},", ",".join(["ab" * 32] * 3)]
)
def test_a_secret_that_is_none_is_refused_without_being_told(secret: str):
    with pytest.raises(ValueError, match="link_key") as refused:
        parse_link_keys(secret)
    assert not secret.strip(",") or secret not in str(refused.value)


def test_the_check_may_import_it_for_next_to_nothing():
    code = "import sys, tollkeeper_core.domain.links; print(*sorted(sys.modules))"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()
    assert not {"pydantic", "stripe", "boto3", "jinja2", "starlette"} & set(loaded)
