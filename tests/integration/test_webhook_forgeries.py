"""20,000 signatures that are not Stripe's: none is taken, and none gets further than the secret."""

import hashlib
import hmac
import json
import random
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from tollkeeper_core import bootstrap, telemetry
from tollkeeper_core.settings import settings

from functions.stripe_webhook.app import handler
from tests.support.function_server import Context, url_event
from tests.support.webhook import COMPLETED

SEED = 5
FORGERIES = 20_000
SECRETS = ("whsec_the_one_that_counts", "whsec_the_one_before")
BODY = json.dumps(COMPLETED, indent=2).encode()

Forgery = Callable[[random.Random], tuple[bytes, str | None]]


def signature(body: bytes, secret: str, at: int, scheme: str = "v1") -> str:
    digest = hmac.new(secret.encode(), f"{at}.".encode() + body, hashlib.sha256).hexdigest()
    return f"t={at},{scheme}={digest}"


def good(rng: random.Random, body: bytes = BODY, age_s: int = 0) -> str:
    return signature(body, rng.choice(SECRETS), int(time.time()) - age_s)


def other_secret(rng: random.Random) -> tuple[bytes, str]:
    secret = rng.choice(
        ["", "whsec_", SECRETS[0][:-1], SECRETS[0] + "x", SECRETS[0].upper(), ",".join(SECRETS)]
    )
    return BODY, signature(BODY, secret, int(time.time()))


def guessed(rng: random.Random) -> tuple[bytes, str]:
    return BODY, f"t={int(time.time())},v1={rng.randbytes(32).hex()}"


def stale(rng: random.Random) -> tuple[bytes, str]:
    return BODY, good(rng, age_s=rng.randint(302, 10**9))


def moved_to_now(rng: random.Random) -> tuple[bytes, str]:
    old = good(rng, age_s=rng.randint(302, 10**6))
    return BODY, f"t={int(time.time())}," + old.partition(",")[2]


def truncated_signature(rng: random.Random) -> tuple[bytes, str]:
    whole = good(rng)
    return BODY, whole[: rng.randrange(len(whole))]


def truncated_body(rng: random.Random) -> tuple[bytes, str]:
    return BODY[: rng.randrange(len(BODY))], good(rng)


def re_encoded(rng: random.Random) -> tuple[bytes, str]:
    event = json.loads(BODY)
    body = rng.choice(
        [
            json.dumps(event).encode(),
            json.dumps(event, indent=2, sort_keys=True).encode(),
            json.dumps(event, indent=2).encode("utf-16"),
            b"\xef\xbb\xbf" + BODY,
            BODY.replace(b"\n", b"\r\n"),
            BODY + b"\n",
        ]
    )
    return body, good(rng)


def one_bit(rng: random.Random) -> tuple[bytes, str]:
    changed = bytearray(BODY)
    changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
    return bytes(changed), good(rng)


def one_digit(rng: random.Random) -> tuple[bytes, str]:
    whole = good(rng)
    place = rng.randrange(whole.index("v1=") + 3, len(whole))
    digit = rng.choice([d for d in "0123456789abcdefABCDEF" if d != whole[place]])
    return BODY, whole[:place] + digit + whole[place + 1 :]


def other_scheme(rng: random.Random) -> tuple[bytes, str]:
    scheme = rng.choice(["v0", "v2", "V1", " v1", "v1 ", ""])
    return BODY, signature(BODY, rng.choice(SECRETS), int(time.time()), scheme)


def no_time(rng: random.Random) -> tuple[bytes, str]:
    digest = good(rng).partition(",")[2]
    at = rng.choice(["", "t=", "t=now", "t=-1", "t=1e9", "t=0x5", f"T={int(time.time())}", "t=٣"])
    return BODY, ",".join(part for part in (at, digest) if part)


def no_header(rng: random.Random) -> tuple[bytes, str | None]:
    return BODY, rng.choice([None, "", ",", "=", "t", "v1", "\x00", "é", "x" * 5_000])


KINDS: tuple[Forgery, ...] = (
    *(other_secret, guessed, stale, moved_to_now, truncated_signature, truncated_body),
    *(re_encoded, one_bit, one_digit, other_scheme, no_time, no_header),
)


class Nowhere:
    """A part of the outside that nobody may touch."""

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(f"a forgery reached {name}")


@pytest.fixture
def secrets_read(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """The product's own wiring, with a Parameter Store that counts and nothing else outside."""
    read: Counter[str] = Counter()

    class Parameters:
        def read_secrets(self, names: Any) -> dict[str, str]:
            read["secrets"] += 1
            return {"stripe_webhook_secret": ",".join(SECRETS), "stripe_secret_key": "sk_test_1"}

        def read_all(self) -> dict[str, str]:
            raise AssertionError("a forgery reached the parameters")

    monkeypatch.setenv("TOLLKEEPER_PREFIX", "/tollkeeper/test")
    monkeypatch.setenv("AWS_REGION", "eu-west-1")
    monkeypatch.setattr(telemetry.metrics.provider, "namespace", "Tollkeeper")
    monkeypatch.setattr(bootstrap, "_parameters", Parameters)
    monkeypatch.setattr(bootstrap, "_redis", lambda _: Nowhere())
    monkeypatch.setattr(bootstrap, "_archive", Nowhere)
    monkeypatch.setattr("stripe.StripeClient", Nowhere())
    monkeypatch.setattr("boto3.client", Nowhere())
    caches = (settings, bootstrap._secrets, bootstrap._patient_store, bootstrap._apply_stripe_event)
    for cache in caches:
        cache.cache_clear()
    yield read
    for cache in caches:
        cache.cache_clear()


def test_none_of_20000_forgeries_is_taken_or_gets_anywhere(
    secrets_read: Counter[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(telemetry.logger._logger, "disabled", True)
    rng = random.Random(SEED)
    answers: Counter[tuple[str, int, str]] = Counter()
    for n in range(FORGERIES):
        forge = KINDS[n % len(KINDS)]
        body, header = forge(rng)
        headers = {} if header is None else {"stripe-signature": header}
        event = url_event("POST", "/", body=body, headers=headers)
        answer = handler(event, Context())
        code = json.loads(answer["body"])["code"]
        answers[forge.__name__, answer["statusCode"], code] += 1
    assert {(status, code) for _, status, code in answers} == {(400, "bad_signature")}, answers
    assert sum(answers.values()) == FORGERIES
    assert len({name for name, _, _ in answers}) == len(KINDS)
    # Once for the five minutes that a secret is kept, twice where the run went over their end.
    assert secrets_read["secrets"] <= 2


def test_the_same_bytes_with_a_signature_are_taken_to_the_ledger(
    secrets_read: Counter[str],
) -> None:
    """Or the test above would prove nothing."""
    headers = {"stripe-signature": good(random.Random(SEED))}
    with pytest.raises(AssertionError, match="a forgery reached evalsha"):
        bootstrap.apply_stripe_event()(BODY, headers["stripe-signature"])
    answer = handler(url_event("POST", "/", body=BODY, headers=headers), Context())
    assert answer["statusCode"] == 503
