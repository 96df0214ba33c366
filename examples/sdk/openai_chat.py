"""OpenAI, one call. `python -m examples.sdk.openai_chat`."""

from openai import OpenAI
from tollkeeper import BlockedError, Tollkeeper


def main() -> str:
    """Ask once as one user."""
    with Tollkeeper() as tk, OpenAI() as openai:
        create = tk.wrap(openai.chat.completions.create)
        try:
            reply = create(
                model="gpt-4o-mini",
                messages=[{"role": "user", "content": "Name three rivers."}],
                max_completion_tokens=200,
                tollkeeper_user="ada",
            )
        except BlockedError as blocked:
            return f"{blocked.upgrade_message} {blocked.upgrade_url}"
        return reply.choices[0].message.content or ""


if __name__ == "__main__":
    print(main())
