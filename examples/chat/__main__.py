"""`python -m examples.chat`: serve the chat until it is stopped."""

import argparse

import uvicorn

from examples.chat.app import ChatConfig, create_app


def main() -> None:
    """Read the arguments and serve."""
    parser = argparse.ArgumentParser(prog="python -m examples.chat", description=__doc__)
    parser.add_argument("--port", type=int, default=8100)
    parser.add_argument("--provider-url", required=True, help="OpenAI- and Anthropic-compatible")
    parser.add_argument("--provider-key", default="sk-local", help="the provider's API key")
    parser.add_argument("--tollkeeper-url", required=True, help="URL of the intercept function")
    parser.add_argument("--api-key", required=True, help="Tollkeeper's key, tk_...")
    parser.add_argument("--embed-url", required=True, help="URL of the upgrade page's function")
    parser.add_argument("--outage", choices=("allow", "block"), default="allow")
    arguments = parser.parse_args()
    config = ChatConfig(
        provider_url=arguments.provider_url,
        provider_key=arguments.provider_key,
        tollkeeper_url=arguments.tollkeeper_url,
        api_key=arguments.api_key,
        embed_url=arguments.embed_url,
        outage=arguments.outage,
    )
    uvicorn.run(
        create_app(config),
        host="127.0.0.1",
        port=arguments.port,
        log_level="warning",
        ws="none",
        timeout_graceful_shutdown=2,
    )


if __name__ == "__main__":
    main()
