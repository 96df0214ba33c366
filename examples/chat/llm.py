"""The models on offer, and how an answer is streamed from each with the vendor's own package."""

from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

from tollkeeper import AsyncTollkeeper

if TYPE_CHECKING:
    import anthropic
    import openai
    from anthropic.types import AssistantMessageParam, RawMessageStreamEvent, UserMessageParam
    from openai.types.chat import ChatCompletionChunk, ChatCompletionMessageParam

Provider = Literal["openai", "anthropic"]


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


class Answer:
    """An answer on its way. Close it however it ends: what came by then is what it costs."""

    def __init__(
        self, stream: Any, text_of: Callable[[Any], str], errors: tuple[type[Exception], ...]
    ) -> None:
        self._stream = stream
        self._text_of = text_of
        self._errors = errors

    async def texts(self) -> AsyncGenerator[str, None]:
        """The text as it comes. Raises ModelError."""
        try:
            async for event in self._stream:
                if text := self._text_of(event):
                    yield text
        except self._errors as error:
            raise ModelError(str(error)) from error

    async def close(self) -> None:
        """Let go of the connection; safe at any point, and twice."""
        await self._stream.close()


class Models:
    """The vendors' clients, metered, both at one address: the local provider serves the two APIs.

    Their packages take seconds to import on a small machine: they are imported when first used, or
    by `warm` in a thread while the page already shows.
    """

    def __init__(self, tollkeeper: AsyncTollkeeper, provider_url: str, api_key: str) -> None:
        self._tollkeeper = tollkeeper
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

    async def ask(self, model: ChatModel, messages: list[Message]) -> Answer:
        """Begin an answer for the user in force (`AsyncTollkeeper.user`).

        Raises BlockedError at the user's limit, before the model is asked; ModelError.
        """
        begin = self._ask_openai if model.provider == "openai" else self._ask_anthropic
        try:
            return await begin(model, messages)
        except self._errors as error:
            raise ModelError(str(error)) from error

    @cached_property
    def _openai(self) -> "openai.AsyncOpenAI":
        import openai

        client = openai.AsyncOpenAI(
            base_url=f"{self._url}/v1", api_key=self._api_key, max_retries=1
        )
        return self._tollkeeper.wrap_client(client, provider="openai")

    @cached_property
    def _anthropic(self) -> "anthropic.AsyncAnthropic":
        import anthropic

        client = anthropic.AsyncAnthropic(base_url=self._url, api_key=self._api_key, max_retries=1)
        return self._tollkeeper.wrap_client(client)

    @cached_property
    def _errors(self) -> tuple[type[Exception], ...]:
        import anthropic
        import httpx
        import httpx2
        import openai

        return openai.OpenAIError, anthropic.AnthropicError, httpx.HTTPError, httpx2.HTTPError

    async def _ask_openai(self, model: ChatModel, messages: list[Message]) -> Answer:
        stream = await self._openai.chat.completions.create(
            model=model.name,
            messages=[_for_openai(message) for message in messages],
            max_completion_tokens=model.max_output_tokens,
            stream=True,
        )
        return Answer(stream, _openai_text, self._errors)

    async def _ask_anthropic(self, model: ChatModel, messages: list[Message]) -> Answer:
        stream = await self._anthropic.messages.create(
            model=model.name,
            messages=[_for_anthropic(message) for message in messages],
            max_tokens=model.max_output_tokens,
            stream=True,
        )
        return Answer(stream, _anthropic_text, self._errors)


def find_model(name: str) -> ChatModel | None:
    """The model of that name, if it is on offer."""
    return next((model for model in MODELS if model.name == name), None)


def _openai_text(chunk: "ChatCompletionChunk") -> str:
    return "".join(c.delta.content or c.delta.refusal or "" for c in chunk.choices)


def _anthropic_text(event: "RawMessageStreamEvent") -> str:
    if event.type == "content_block_delta" and event.delta.type == "text_delta":
        return event.delta.text
    return ""


def _for_openai(message: Message) -> "ChatCompletionMessageParam":
    if message.role == "user":
        return {"role": "user", "content": message.content}
    return {"role": "assistant", "content": message.content}


def _for_anthropic(message: Message) -> "UserMessageParam | AssistantMessageParam":
    if message.role == "user":
        return {"role": "user", "content": message.content}
    return {"role": "assistant", "content": message.content}
