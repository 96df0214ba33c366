"""Anthropic, with the package's own stream helper."""

from anthropic import Anthropic
from tollkeeper import Tollkeeper


def main() -> str:
    """Ask once as one user, and read the answer as it is written."""
    with Tollkeeper() as tk, Anthropic() as anthropic:
        client = tk.wrap_client(anthropic)
        with (
            tk.user("ada", tier="free"),
            client.messages.stream(
                model="claude-haiku-4-5",
                messages=[{"role": "user", "content": "Name three rivers."}],
                max_tokens=200,
            ) as stream,
        ):
            return "".join(stream.text_stream)


if __name__ == "__main__":
    print(main())
