"""Refusals: nothing is charged."""

from tests.sdk.conversations.anthropic import ask
from tests.sdk.conversations.conversation import Conversation, Json
from tests.sdk.conversations.openai_chat import chat
from tests.sdk.conversations.openai_others import embed, respond

_OPENAI: Json = {"error": {"message": "No.", "type": "requests", "param": None, "code": "no"}}
_ANTHROPIC: Json = {"type": "error", "error": {"type": "api_error", "message": "No."}}


def _refused(conversation: Conversation, status: int) -> Conversation:
    return conversation.named(f"refused with {status}", status=status, usage=None)


ERRORS = (
    _refused(chat("chat", {}, _OPENAI), 400),
    _refused(chat("chat streamed", {}, _OPENAI, stream=True), 429),
    _refused(chat("chat", {}, _OPENAI), 500),
    _refused(respond("responses", None, _OPENAI), 401),
    _refused(embed("embedding", 1, 1, input="a"), 503),
    _refused(ask("message", None, _ANTHROPIC), 413),
    _refused(ask("message", None, _ANTHROPIC), 529),
    _refused(ask("message streamed", None, _ANTHROPIC, stream=True), 429),
)
