"""What goes wrong, and how each vendor says so."""

from dataclasses import dataclass
from typing import Any, Literal

Vendor = Literal["openai", "anthropic"]

_ANTHROPIC_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    529: "overloaded_error",
}
_OPENAI_TYPES = {429: "requests", 500: "server_error", 503: "server_error", 529: "server_error"}


@dataclass
class ApiError(Exception):
    """An answer other than 200. `code` and `param` are only in OpenAI's shape."""

    status: int
    message: str
    code: str | None = None
    param: str | None = None

    def body(self, vendor: Vendor, request_id: str) -> dict[str, Any]:
        """The JSON body in the vendor's shape."""
        if vendor == "anthropic":
            kind = _ANTHROPIC_TYPES.get(self.status, "api_error")
            error = {"type": kind, "message": self.message}
            return {"type": "error", "error": error, "request_id": request_id}
        kind = _OPENAI_TYPES.get(self.status, "invalid_request_error")
        return {
            "error": {
                "message": self.message,
                "type": kind,
                "param": self.param,
                "code": self.code,
            }
        }


_FAILURES: dict[Vendor, dict[int, ApiError]] = {
    "openai": {
        429: ApiError(429, "Rate limit reached for requests.", "rate_limit_exceeded"),
        500: ApiError(500, "The server had an error while processing your request."),
        503: ApiError(503, "The engine is currently overloaded, please try again later."),
        529: ApiError(529, "The engine is currently overloaded, please try again later."),
    },
    "anthropic": {
        429: ApiError(429, "This request would exceed your rate limit."),
        500: ApiError(500, "Internal server error"),
        503: ApiError(503, "Service unavailable"),
        529: ApiError(529, "Overloaded"),
    },
}


def wanted_failure(vendor: Vendor, trigger: str) -> ApiError | None:
    """The failure that a trigger (`"429"`, ...) asks for; None when it asks for none."""
    return _FAILURES[vendor].get(int(trigger)) if trigger.isdigit() else None


def missing_key(vendor: Vendor) -> ApiError:
    """No key was sent."""
    if vendor == "anthropic":
        return ApiError(401, "x-api-key header is required")
    return ApiError(
        401,
        "You didn't provide an API key. You need to provide your API key in an Authorization "
        "header using Bearer auth (i.e. Authorization: Bearer YOUR_KEY).",
    )


def invalid_key(vendor: Vendor, key: str) -> ApiError:
    """The key is one that is refused: here, those that begin with `sk-invalid`."""
    if vendor == "anthropic":
        return ApiError(401, "invalid x-api-key")
    shown = f"{key[:7]}***{key[-4:]}"
    return ApiError(401, f"Incorrect API key provided: {shown}.", "invalid_api_key")


def unknown_model(vendor: Vendor, name: str) -> ApiError:
    """The vendor has no such model."""
    if vendor == "anthropic":
        return ApiError(404, f"model: {name}")
    message = f"The model `{name}` does not exist or you do not have access to it."
    return ApiError(404, message, "model_not_found")


def invalid(vendor: Vendor, param: str, problem: str) -> ApiError:
    """A parameter's value is refused; `problem` is a sentence without its subject."""
    if vendor == "anthropic":
        return ApiError(400, f"{param}: {problem}")
    return ApiError(400, f"Invalid '{param}': {problem}", "invalid_value", param)


def missing(vendor: Vendor, param: str) -> ApiError:
    """A required parameter is absent."""
    if vendor == "anthropic":
        return ApiError(400, f"{param}: Field required")
    message = f"Missing required parameter: '{param}'."
    return ApiError(400, message, "missing_required_parameter", param)
