"""The HTTP package that the installed openai and anthropic send with: httpx2, or httpx before."""

from typing import Any

from anthropic import _base_client

vendor_http: Any = getattr(_base_client, "httpx2", None) or getattr(_base_client, "httpx")  # noqa: B009
