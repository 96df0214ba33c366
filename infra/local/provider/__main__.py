"""`python -m infra.local.provider`: serve the provider until it is stopped."""

import argparse

import uvicorn

from infra.local.provider.server import create_app


def main() -> None:
    """Read the arguments and serve."""
    parser = argparse.ArgumentParser(prog="python -m infra.local.provider", description=__doc__)
    parser.add_argument("--port", type=int, default=8090)
    parser.add_argument(
        "--token-delay-ms", type=float, default=15.0, help="pause before each token (default 15)"
    )
    arguments = parser.parse_args()
    uvicorn.run(
        create_app(arguments.token_delay_ms),
        host="127.0.0.1",
        port=arguments.port,
        log_level="warning",
        ws="none",
        timeout_graceful_shutdown=1,
    )


if __name__ == "__main__":
    main()
