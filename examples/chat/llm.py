"""The models on offer, and how an answer is streamed from each with the vendor's own package."""

from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import anthropic
    import openai
    from anthropic.types import AssistantMessageParam, UserMessageParam
    from openai.types.chat import ChatCompletionMessageParam

Json = dict[str, Any]
Provider = Literal["openai", "anthropic"]

_CHARACTERS_PER_TOKEN = 4
_MESSAGE_TOKENS = 4


@dataclass(frozen=True)
class ChatModel:
    """A model in the page's list. `max_output_tokens` bounds an answer, and what is reserved."""

    name: str
    label: str
    provider: Provider
    max_output_tokens: int


#: The first is dear enough for a handful of messages to meet the free tier's limit. What a strict
#: limit stops is the longest answer that may come: bounds not far above real answers stop late.
MODELS = (
    ChatModel("gpt-4-turbo", "GPT-4 Turbo", "openai", 500),
    ChatModel("gpt-4o", "GPT-4o", "openai", 800),
    ChatModel("gpt-4o-mini", "GPT-4o mini", "openai", 2000),
    ChatModel("gpt-5-mini", "GPT-5 mini", "openai", 2000),
    ChatModel("claude-sonnet-5", "Claude Sonnet 5", "anthropic", 800),
    ChatModel("claude-haiku-4-5", "Claude Haiku 4.5", "anthropic", 1500),
)
DEFAULT_MODEL = MODELS[0].name


@dataclass(frozen=True)
class Message:
    """One message of a conversation."""

    role: Literal["user", "assistant"]
    content: str


class ModelError(Exception):
    """The model did not answer, or broke off."""


@dataclass
class Spent:
    """What a call used, filled in while its answer is streamed."""

    model: ChatModel
    input_tokens: int
    text: str = ""
    reported: Json = field(default_factory=dict)
    asked: bool = False
    complete: bool = False
    failed: bool = False

    @property
    def free(self) -> bool:
        """The model was never asked, or failed before anything came back."""
        return not self.asked or (self.failed and not self.text and not self.reported)

    @property
    def usage(self) -> Json:
        """The vendor's own usage object; in its shape, an estimate where it sent none."""
        if self.complete:
            return self.reported
        produced = estimate_tokens(self.text)
        if self.model.provider == "anthropic":
            return {"input_tokens": self.input_tokens, **self.reported, "output_tokens": produced}
        return {
            "prompt_tokens": self.input_tokens,
            "completion_tokens": produced,
            "total_tokens": self.input_tokens + produced,
        }


class Models:
    """The vendors' clients, both at one address: the local provider serves the two APIs.

    Their packages take seconds to import on a small machine: they are imported when first used, or
    by `warm` in a thread while the page already shows.
    """

    def __init__(self, provider_url: str, api_key: str) -> None:
        self._url = provider_url.rstrip("/")
        self._api_key = api_key

    def warm(self) -> None:
        """Import the packages and build the clients."""
        _ = self._openai, self._anthropic, self._errors

    async def close(self) -> None:
        """Close the connections."""
        for name in ("_openai", "_anthropic"):
            if client := vars(self).get(name):
                await client.close()

    async def answer(self, messages: list[Message], spent: Spent) -> AsyncGenerator[str, None]:
        """Stream the answer's text and keep `spent` up to date; raises `ModelError`."""
        spent.asked = True
        stream = self._ask_openai if spent.model.provider == "openai" else self._ask_anthropic
        try:
            async for text in stream(messages, spent):
                spent.text += text
                yield text
        except self._errors as error:
            spent.failed = True
            raise ModelError(str(error)) from error

    @cached_property
    def _openai(self) -> "openai.AsyncOpenAI":
        import openai

        return openai.AsyncOpenAI(base_url=f"{self._url}/v1", api_key=self._api_key, max_retries=1)

    @cached_property
    def _anthropic(self) -> "anthropic.AsyncAnthropic":
        import anthropic

        return anthropic.AsyncAnthropic(base_url=self._url, api_key=self._api_key, max_retries=1)

    @cached_property
    def _errors(self) -> tuple[type[Exception], ...]:
        import anthropic
        import httpx2
        import openai

        return openai.OpenAIError, anthropic.AnthropicError, httpx2.HTTPError

    async def _ask_openai(self, messages: list[Message], spent: Spent) -> AsyncGenerator[str, None]:
        stream = await self._openai.chat.completions.create(
            model=spent.model.name,
            messages=[_for_openai(message) for message in messages],
            max_completion_tokens=spent.model.max_output_tokens,
            stream=True,
            stream_options={"include_usage": True},
        )
        async with stream:
            async for chunk in stream:
                if chunk.usage:
                    spent.reported = chunk.usage.model_dump(exclude_none=True)
                    spent.complete = True
                for choice in chunk.choices:
                    if text := choice.delta.content or choice.delta.refusal:
                        yield text

    async def _ask_anthropic(
        self, messages: list[Message], spent: Spent
    ) -> AsyncGenerator[str, None]:
        stream = await self._anthropic.messages.create(
            model=spent.model.name,
            messages=[_for_anthropic(message) for message in messages],
            max_tokens=spent.model.max_output_tokens,
            stream=True,
        )
        async with stream:
            async for event in stream:
                if event.type == "message_start":
                    spent.reported = event.message.usage.model_dump(exclude_none=True)
                elif event.type == "message_delta":
                    # Its numbers are cumulative, but it repeats only some of the first ones.
                    spent.reported |= event.usage.model_dump(exclude_none=True)
                    spent.complete = True
                elif event.type == "content_block_delta" and event.delta.type == "text_delta":
                    yield event.delta.text


def find_model(name: str) -> ChatModel | None:
    """The model of that name, if it is on offer."""
    return next((model for model in MODELS if model.name == name), None)


def _for_openai(message: Message) -> "ChatCompletionMessageParam":
    if message.role == "user":
        return {"role": "user", "content": message.content}
    return {"role": "assistant", "content": message.content}


def _for_anthropic(message: Message) -> "UserMessageParam | AssistantMessageParam":
    if message.role == "user":
        return {"role": "user", "content": message.content}
    return {"role": "assistant", "content": message.content}


def estimate_tokens(text: str) -> int:
    """About how many tokens a text is; English runs to four characters a token."""
    return -(-len(text) // _CHARACTERS_PER_TOKEN)


def estimate_prompt_tokens(messages: list[Message]) -> int:
    """About how many input tokens a conversation is, with each message's framing."""
    return sum(_MESSAGE_TOKENS + estimate_tokens(message.content) for message in messages)
