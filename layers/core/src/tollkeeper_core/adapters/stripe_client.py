"""How all of ours ask Stripe: one client's settings, and its errors with nothing secret in them."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from stripe import StripeClient, StripeError


def make_client(
    secret_key: str, api_base: str | None, timeout_s: float, retries: int
) -> "StripeClient":
    """``timeout_s``: per try. ``api_base``: where the local Stripe is. To import it takes a quarter
    of a second: make one where something is asked, not before.
    """
    import stripe

    # The API version is the package's own, which the requirements pin.
    return stripe.StripeClient(
        secret_key,
        base_addresses={"api": api_base} if api_base else {},
        max_network_retries=retries,
        http_client=stripe.RequestsClient(timeout=timeout_s),
    )


@contextmanager
def raising(kind: type[Exception]) -> Iterator[None]:
    """Stripe's errors as this one of ours."""
    import stripe

    try:
        yield
    except stripe.StripeError as error:
        raise kind(said(error)) from error


def said(error: "StripeError") -> str:
    """What to write down of an error."""
    return f"Stripe: {type(error).__name__}, code {error.code}, request {error.request_id}"
