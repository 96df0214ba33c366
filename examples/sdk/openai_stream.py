"""OpenAI, streamed. The usage is asked for, and kept from the caller. `python -m ...`."""

from collections.abc import Iterator

from openai import OpenAI
from tollkeeper import Tollkeeper


def main() -> Iterator[str]:
    """The answer, piece by piece, as it comes."""
    with Tollkeeper() as tk, OpenAI() as openai:
        stream = tk.wrap(openai.chat.completions.create)(
            model="gpt-4o-mini",
            messages=[{"role": "user", "content": "Name three rivers."}],
            max_completion_tokens=200,
            stream=True,
            tollkeeper_user="ada",
        )
        for chunk in stream:
            for choice in chunk.choices:
                yield choice.delta.content or ""


if __name__ == "__main__":
    for piece in main():
        print(piece, end="", flush=True)
