"""OpenAI's responses API, async, through a client that meters all it does."""

import asyncio

from openai import AsyncOpenAI
from tollkeeper import AsyncTollkeeper


async def main() -> str:
    """Ask once as one user."""
    async with AsyncTollkeeper() as tk, AsyncOpenAI() as openai:
        client = tk.wrap_client(openai)
        with tk.user("ada"):
            reply = await client.responses.create(
                model="gpt-4o-mini", input="Name three rivers.", max_output_tokens=200
            )
        return reply.output_text


if __name__ == "__main__":
    print(asyncio.run(main()))
