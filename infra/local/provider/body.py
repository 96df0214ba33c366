"""Reading a request's JSON with each vendor's complaints about it."""

import json
from typing import Any

from starlette.requests import Request

from infra.local.provider.errors import ApiError, Vendor, invalid, missing
from infra.local.provider.prompt import Json

_BODY_BYTES_MAX = 32 * 1024 * 1024


class Body:
    """The JSON object that a request brought. Readers raise `ApiError` (400) on a wrong type."""

    def __init__(self, vendor: Vendor, values: Json) -> None:
        self.vendor = vendor
        self.values = values

    @classmethod
    async def read(cls, vendor: Vendor, request: Request) -> "Body":
        """Read and parse the request's body."""
        raw = await request.body()
        if len(raw) > _BODY_BYTES_MAX:
            raise ApiError(413, "Request exceeds the maximum size")
        try:
            values = json.loads(raw)
        except ValueError:
            values = None
        if not isinstance(values, dict):
            raise ApiError(400, "We could not parse the JSON body of your request.")
        return cls(vendor, values)

    def text(self, name: str) -> str:
        """A required string."""
        value = self._required(name)
        if not isinstance(value, str) or not value:
            raise invalid(self.vendor, name, "expected a string")
        return value

    def objects(self, name: str, *, required: bool = False) -> list[Json]:
        """A list of objects: with at least one when required, else empty when absent."""
        value = self._required(name) if required else self.values.get(name) or []
        if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
            raise invalid(self.vendor, name, "expected an array of objects")
        if required and not value:
            raise invalid(self.vendor, name, "expected an array with at least one item")
        return value

    def count(self, name: str, *, required: bool = False) -> int | None:
        """A positive integer; None when absent."""
        value = self._required(name) if required else self.values.get(name)
        if value is None:
            return None
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise invalid(self.vendor, name, "expected an integer of at least 1")
        return value

    def object(self, name: str) -> Json:
        """An object; empty when absent."""
        value = self.values.get(name)
        if value is None:
            return {}
        if not isinstance(value, dict):
            raise invalid(self.vendor, name, "expected an object")
        return value

    def flag(self, name: str) -> bool:
        """A boolean; false when absent."""
        return self.values.get(name) is True

    def _required(self, name: str) -> Any:
        value = self.values.get(name)
        if value is None:
            raise missing(self.vendor, name)
        return value
