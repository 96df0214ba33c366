"""`POST /v1/embeddings`: vectors in which texts that share words lie close together."""

import base64
import hashlib
import math
import struct
import uuid
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from infra.local.provider.body import Body
from infra.local.provider.desk import Caller, Desk, until_answered
from infra.local.provider.errors import ApiError, invalid, missing
from infra.local.provider.ledger import Call
from infra.local.provider.tokens import tokenize

_INPUTS_MAX = 2048


async def create(desk: Desk, request: Request, caller: Caller, body: Body) -> Response:
    """Embed each input; usage counts their tokens, without any framing."""
    if not caller.model.dimensions:
        name = caller.model.name
        raise ApiError(403, f"You are not allowed to generate embeddings from this model: {name}")
    dimensions = body.count("dimensions") or caller.model.dimensions
    if dimensions > caller.model.dimensions:
        raise invalid("openai", "dimensions", f"at most {caller.model.dimensions} for this model")
    inputs = _inputs(body)
    counted = sum(map(len, inputs))
    call = desk.ledger.add(
        Call(uuid.uuid4().hex, "openai", "embeddings", caller.model.name, counted)
    )
    with until_answered(call):
        vectors = [_vector(tokens, dimensions) for tokens in inputs]
    packed = body.values.get("encoding_format") == "base64"
    answer = {
        "object": "list",
        "data": [
            {"object": "embedding", "index": i, "embedding": _pack(vector) if packed else vector}
            for i, vector in enumerate(vectors)
        ],
        "model": caller.model.name,
        "usage": {"prompt_tokens": counted, "total_tokens": counted},
    }
    return JSONResponse(answer, headers=request.state.headers)


def _inputs(body: Body) -> list[list[str]]:
    """Each input's tokens: a text, several texts, or token numbers instead of texts."""
    given = body.values.get("input")
    if given is None:
        raise missing("openai", "input")
    many = given if isinstance(given, list) and _is_many(given) else [given]
    if not many or len(many) > _INPUTS_MAX:
        raise invalid("openai", "input", f"expected 1 to {_INPUTS_MAX} inputs")
    tokens = [_tokens(one) for one in many]
    if not all(tokens):
        raise invalid("openai", "input", "no input may be empty")
    return tokens


def _is_many(given: list[Any]) -> bool:
    return not all(isinstance(item, int) for item in given) or not given


def _tokens(one: Any) -> list[str]:
    if isinstance(one, str):
        return tokenize(one)
    if isinstance(one, list) and all(isinstance(number, int) for number in one):
        return [f"#{number}" for number in one]
    raise invalid("openai", "input", "expected text or token numbers")


def _vector(tokens: list[str], dimensions: int) -> list[float]:
    """The sum of a pseudo-random direction for each token, of length 1."""
    total = [0] * dimensions
    for token in tokens:
        direction = hashlib.shake_128(token.strip().lower().encode()).digest(dimensions)
        total = [value + byte - 127 for value, byte in zip(total, direction, strict=True)]
    length = math.sqrt(sum(value * value for value in total)) or 1.0
    return [value / length for value in total]


def _pack(vector: list[float]) -> str:
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()
