"""LiteLLM: one function for any provider, metered."""

import litellm
from tollkeeper import BlockedError, Tollkeeper
from tollkeeper.integrations.litellm import metered


def main() -> str:
    """Ask as one user; the answer, or why there is none."""
    with Tollkeeper() as tk:
        complete = metered(tk, litellm.completion)
        try:
            reply = complete(
                model="openai/gpt-4o-mini",
                messages=[{"role": "user", "content": "Name three rivers."}],
                max_tokens=200,
                tollkeeper_user="ada",
            )
        except BlockedError as blocked:
            return f"{blocked.upgrade_message} {blocked.upgrade_url}"
        return str(reply.choices[0].message.content)


if __name__ == "__main__":
    print(main())
