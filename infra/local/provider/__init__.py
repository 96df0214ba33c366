"""An OpenAI- and Anthropic-compatible provider for one machine: no key, no network, true usage.

`python -m infra.local.provider --port 8090` serves it; `LocalProvider` serves it in a thread.
OpenAI clients take `base_url=url + "/v1"`, Anthropic clients `base_url=url`; any key will do.
What tries the sad paths:

- model `error-429`, `error-500`, `error-503`, `error-529`, or the header `x-local-error: 429`:
  that answer, in the vendor's own shape; model `error-midstream`: a stream that breaks half way
- model `mystery-*`: served, but no price list knows it
- key `sk-invalid...`: 401; `[refuse]` in the message: a refusal
- a message that names one of the request's tools: a call of that tool
"""

from infra.local.provider.ledger import Call
from infra.local.provider.server import LocalProvider, create_app
from infra.local.provider.serving import BackgroundServer
from infra.local.provider.tokens import count_tokens, tokenize

__all__ = [
    "BackgroundServer",
    "Call",
    "LocalProvider",
    "count_tokens",
    "create_app",
    "tokenize",
]
