"""Addresses in parameters."""

from urllib.parse import urlsplit

from infra.local.stripe_local.errors import StripeError


def check_url(param: str, url: str | None) -> None:
    """Refuse what is not an http(s) address, with Stripe's `url_invalid`; None passes."""
    if url is None:
        return
    try:
        parts = urlsplit(url)
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        good = False
    if not good or any(character.isspace() for character in url):
        raise StripeError("Not a valid URL", code="url_invalid", param=param)
