"""Any claims survive the journey; no change of a token does."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tollkeeper_core.domain.links import LinkClaims, LinkError, LinkReason, sign_link, verify_link

NOW_MS = 1_795_608_000_000
ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

texts = st.text(min_size=1, max_size=128)
reasons = st.builds(
    LinkReason,
    texts,
    st.none() | st.sampled_from(["daily", "weekly", "monthly"]),
    st.none() | st.integers(0, 2**53),
)
claims = st.builds(
    LinkClaims,
    user_id=texts,
    prompt_id=texts,
    expires_ms=st.integers(NOW_MS + 1, 2**53),
    tier=st.none() | texts,
    reason=st.none() | reasons,
    origin=st.none() | texts,
)
keys = st.binary(min_size=32, max_size=32)


@given(claims, keys)
def test_claims_survive(given_claims: LinkClaims, key: bytes):
    assert verify_link(sign_link(given_claims, key), [key], NOW_MS) == given_claims


@given(claims, keys, st.data())
def test_any_character_changed_is_refused(
    given_claims: LinkClaims, key: bytes, data: st.DataObject
):
    token = sign_link(given_claims, key)
    place = data.draw(st.integers(0, len(token) - 1))
    letter = data.draw(st.sampled_from(ALPHABET).filter(lambda c: c != token[place]))
    with pytest.raises(LinkError):
        verify_link(token[:place] + letter + token[place + 1 :], [key], NOW_MS)


@given(claims, keys, st.data())
def test_any_part_of_a_token_is_refused(given_claims: LinkClaims, key: bytes, data: st.DataObject):
    token = sign_link(given_claims, key)
    end = data.draw(st.integers(0, len(token) - 1))
    for part in (token[:end], token[len(token) - end :], token + token[:end][:1]):
        if part != token:
            with pytest.raises(LinkError):
                verify_link(part, [key], NOW_MS)


@given(claims, keys, keys)
def test_another_key_is_refused(given_claims: LinkClaims, key: bytes, other: bytes):
    if key != other:
        with pytest.raises(LinkError):
            verify_link(sign_link(given_claims, key), [other], NOW_MS)


@given(st.text(max_size=200))
def test_no_text_crashes_it(text: str):
    with pytest.raises(LinkError):
        verify_link(text, [bytes(32)], NOW_MS)
