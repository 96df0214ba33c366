"""Conversations with providers, each as it goes over the wire and with the provider's own usage."""

from tests.sdk.conversations.anthropic import ANTHROPIC_MESSAGES
from tests.sdk.conversations.conversation import Conversation
from tests.sdk.conversations.errors import ERRORS
from tests.sdk.conversations.openai_chat import COMPLETIONS, OPENAI_CHAT, OTHERS_CHAT
from tests.sdk.conversations.openai_others import OPENAI_EMBEDDINGS, OPENAI_RESPONSES

CONVERSATIONS: tuple[Conversation, ...] = (
    *OPENAI_CHAT,
    *OTHERS_CHAT,
    *COMPLETIONS,
    *OPENAI_RESPONSES,
    *OPENAI_EMBEDDINGS,
    *ANTHROPIC_MESSAGES,
    *ERRORS,
)
