"""LiteLLM: one logger meters every provider that it can call."""

import asyncio

import litellm
from tollkeeper import Tollkeeper
from tollkeeper.integrations.litellm import TollkeeperLogger

MESSAGES = [{"role": "user", "content": "Name three rivers."}]


async def main() -> tuple[str, str]:
    """The same question to two providers, as one user."""
    with Tollkeeper() as tk:
        toll = TollkeeperLogger(tk)
        litellm.callbacks.append(toll)
        try:
            with tk.user("ada"):
                first = await litellm.acompletion(
                    model="openai/gpt-4o-mini", messages=MESSAGES, max_tokens=200
                )
                second = await litellm.acompletion(
                    model="anthropic/claude-haiku-4-5", messages=MESSAGES, max_tokens=200
                )
        finally:
            litellm.callbacks.remove(toll)
        return first.choices[0].message.content, second.choices[0].message.content


if __name__ == "__main__":
    print(*asyncio.run(main()), sep="\n\n")
