"""The providers' own packages, wrapped."""

from typing import assert_type

import anthropic
import openai
from anthropic.types import Message
from openai.types import CreateEmbeddingResponse
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from tollkeeper import AsyncTollkeeper, Tollkeeper

tk = Tollkeeper()
create = tk.wrap(openai.OpenAI().chat.completions.create)
assert_type(create(model="m", messages=[]), ChatCompletion)
assert_type(create(model="m", messages=[], stream=True), openai.Stream[ChatCompletionChunk])
assert_type(create.for_user("ada")(model="m", messages=[]), ChatCompletion)
embed = tk.wrap(openai.OpenAI().embeddings.create)
assert_type(embed.for_user("ada")(model="m", input="text"), CreateEmbeddingResponse)
say = tk.wrap(anthropic.Anthropic().messages.create)
assert_type(say(model="m", messages=[], max_tokens=9), Message)


async def main(atk: AsyncTollkeeper) -> None:
    acreate = atk.wrap(openai.AsyncOpenAI().chat.completions.create)
    assert_type(await acreate(model="m", messages=[]), ChatCompletion)
    async for chunk in await acreate.for_user("ada")(model="m", messages=[], stream=True):
        assert_type(chunk, ChatCompletionChunk)
