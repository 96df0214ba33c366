"""AWS Lambda: usage is delivered before the process is frozen."""

from collections.abc import Callable
from typing import Any

from openai import OpenAI
from tollkeeper import BlockedError, Tollkeeper

Handler = Callable[[dict[str, str], Any], dict[str, str | None]]


def make_handler() -> Handler:
    """A handler with clients of its own; a function module does this once, at its top."""
    tk = Tollkeeper()
    create = tk.wrap(OpenAI().chat.completions.create)

    @tk.lambda_flush
    def handler(event: dict[str, str], _context: Any) -> dict[str, str | None]:
        try:
            reply = create(
                model="gpt-4o-mini",
                messages=[{"role": "user", "content": event["text"]}],
                max_completion_tokens=200,
                tollkeeper_user=event["user"],
            )
        except BlockedError as blocked:
            return {"said": blocked.upgrade_message, "upgrade_url": blocked.upgrade_url}
        return {"said": reply.choices[0].message.content}

    return handler
