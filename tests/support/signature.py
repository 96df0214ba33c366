"""Stripe's signature (docs.stripe.com/webhooks/signature), of what a test sends itself."""

import hashlib
import hmac
import time

from requests import PreparedRequest
from requests.auth import AuthBase


class Signature(AuthBase):
    """Stripe's, of the very bytes that are sent."""

    def __init__(self, secret: str) -> None:
        self._secret = secret

    def __call__(self, request: PreparedRequest) -> PreparedRequest:
        body = request.body or b""
        sent = body.encode() if isinstance(body, str) else body
        request.headers["Stripe-Signature"] = self.of(sent)
        return request

    def of(self, body: bytes) -> str:
        now = int(time.time())
        signed = hmac.new(self._secret.encode(), f"{now}.".encode() + body, hashlib.sha256)
        return f"t={now},v1={signed.hexdigest()}"
