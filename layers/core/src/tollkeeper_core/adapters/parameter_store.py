"""The owner's parameters and secrets in SSM Parameter Store."""

from collections.abc import Iterable, Mapping
from typing import Any

from tollkeeper_core.adapters.aws_http import AwsCallError, SignedJsonClient, endpoint_of
from tollkeeper_core.domain.ports import SourceError

_SECRETS = "secrets/"
#: GetParameters takes ten names at most.
_NAMES_MAX = 10


class ParameterStore:
    """Implements ports.ParameterSource. ``prefix``: ``/tollkeeper/<stage>``."""

    def __init__(self, prefix: str, region: str) -> None:
        self._prefix = prefix.rstrip("/") + "/"
        self._client = SignedJsonClient("ssm", "AmazonSSM", region, endpoint_of("ssm"))

    def read_all(self) -> Mapping[str, str]:
        """See ports.ParameterSource."""
        found: dict[str, str] = {}
        request = {"Path": self._prefix, "Recursive": True, "WithDecryption": False}
        while True:
            answer = self._call("GetParametersByPath", request)
            for parameter in answer.get("Parameters", ()):
                name = str(parameter["Name"]).removeprefix(self._prefix)
                if not name.startswith(_SECRETS):
                    found[name] = str(parameter["Value"])
            if not answer.get("NextToken"):
                return found
            request["NextToken"] = answer["NextToken"]

    def read_secrets(self, names: Iterable[str]) -> Mapping[str, str]:
        """See ports.ParameterSource."""
        wanted = [f"{self._prefix}{_SECRETS}{name}" for name in names]
        found: dict[str, str] = {}
        for first in range(0, len(wanted), _NAMES_MAX):
            request = {"Names": wanted[first : first + _NAMES_MAX], "WithDecryption": True}
            for parameter in self._call("GetParameters", request).get("Parameters", ()):
                name = str(parameter["Name"]).removeprefix(f"{self._prefix}{_SECRETS}")
                found[name] = str(parameter["Value"])
        return found

    def _call(self, operation: str, request: Mapping[str, object]) -> dict[str, Any]:
        try:
            return self._client.call(operation, dict(request))
        except AwsCallError as error:
            raise SourceError(f"Parameter Store: {error}") from error
