"""Signed calls to AWS without a boto3 client, for the way to the first check.

A boto3 client takes half a second to import and build on a small machine, most of it for models of
APIs that a check never calls. botocore's signer and credential chain (SnapStart's containers and a
developer's profile included) are what matters, and come alone in a fraction of it.
"""

import http.client
import json
import os
from functools import cached_property
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from botocore.credentials import Credentials

_TIMEOUT_S = 5


class AwsCallError(Exception):
    """AWS answered an error, or not at all. ``code`` is AWS's own, or the exception's name."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code


class SignedJsonClient:
    """Calls one service's JSON protocol: ``target`` as in ``AmazonSSM``, ``version`` as in its
    model (jsonVersion).
    """

    def __init__(
        self,
        service: str,
        target: str,
        region: str,
        endpoint: str | None,
        *,
        version: str = "1.1",
        timeout_s: float = _TIMEOUT_S,
    ) -> None:
        self._service, self._target, self._region = service, target, region
        self._version, self._timeout_s = version, timeout_s
        self._endpoint = endpoint or f"https://{service}.{region}.amazonaws.com"

    def call(self, operation: str, request: dict[str, Any]) -> dict[str, Any]:
        """The answer's JSON. Raises AwsCallError."""
        url = urlsplit(self._endpoint)
        headers, body = self._signed(operation, json.dumps(request))
        kind = http.client.HTTPSConnection if url.scheme == "https" else http.client.HTTPConnection
        connection = kind(url.netloc, timeout=self._timeout_s)
        try:
            connection.request("POST", url.path or "/", body, headers)
            response = connection.getresponse()
            status, text = response.status, response.read()
        except (OSError, http.client.HTTPException) as error:
            raise AwsCallError(type(error).__name__, f"{self._service} did not answer") from error
        finally:
            connection.close()
        answer: dict[str, Any] = json.loads(text) if text.startswith(b"{") else {}
        if status != 200:
            code = str(answer.get("__type", status)).rpartition("#")[2]
            raise AwsCallError(code, str(answer.get("message") or answer.get("Message") or ""))
        return answer

    def _signed(self, operation: str, body: str) -> tuple[dict[str, str], bytes]:
        from botocore.auth import SigV4Auth  # only where a call is really made
        from botocore.awsrequest import AWSRequest

        request = AWSRequest(
            method="POST",
            url=self._endpoint,
            data=body,
            headers={
                "Content-Type": f"application/x-amz-json-{self._version}",
                "X-Amz-Target": f"{self._target}.{operation}",
            },
        )
        SigV4Auth(self._credentials, self._service, self._region).add_auth(request)
        return dict(request.headers.items()), body.encode()

    @cached_property
    def _credentials(self) -> "Credentials":
        """Looked up once: that takes 20 ms. Those that expire renew themselves."""
        from botocore.session import get_session

        credentials = get_session().get_credentials()
        if credentials is None:
            raise AwsCallError("NoCredentials", "no AWS credentials are configured")
        return credentials


def endpoint_of(service: str) -> str | None:
    """Where ``AWS_ENDPOINT_URL_<SERVICE>`` or ``AWS_ENDPOINT_URL`` send a service, as in boto3."""
    return os.environ.get(f"AWS_ENDPOINT_URL_{service.upper()}") or os.environ.get(
        "AWS_ENDPOINT_URL"
    )
