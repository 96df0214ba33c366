"""`python -m infra.local.lambdas`: serve the functions of a template."""

import argparse
import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path

from infra.local.cloudformation import Deployment, TemplateError
from infra.local.lambdas.service import Options, serve
from infra.local.template import read_template


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until SIGTERM or SIGINT; 1 when the template cannot be run."""
    parser = argparse.ArgumentParser(prog="python -m infra.local.lambdas")
    parser.add_argument("--template", type=Path, default=Path("template.yaml"))
    parser.add_argument("--port", type=int, required=True, help="of Lambda's Invoke API")
    parser.add_argument(
        "--url", action="append", default=[], metavar="LOGICAL_ID=PORT", help="of a function URL"
    )
    parser.add_argument("--aws-url", required=True, help="endpoint of SQS, SSM and S3")
    parser.add_argument("--stack-name", default="tollkeeper-local")
    parser.add_argument("--region", default="us-east-1")
    parser.add_argument(
        "--parameter", action="append", default=[], metavar="NAME=VALUE", help="of the template"
    )
    parser.add_argument(
        "--env", action="append", default=[], metavar="NAME=VALUE", help="for every function"
    )
    parser.add_argument("--workers", type=int, default=2, help="at most, for each function")
    parser.add_argument(
        "--queue-wait", type=float, default=10.0, help="seconds a call may wait for a worker"
    )
    options = parser.parse_args(arguments)

    ports = {name: int(port) for name, port in _pairs(options.url).items()}
    deployment = Deployment(
        aws_url=options.aws_url,
        function_urls={name: f"http://127.0.0.1:{port}/" for name, port in ports.items()},
        stack_name=options.stack_name,
        region=options.region,
        parameters=_pairs(options.parameter),
    )
    try:
        stack = read_template(options.template, deployment)
    except TemplateError as error:
        print(f"{options.template}: {error}", file=sys.stderr)
        return 1
    asyncio.run(
        serve(
            stack,
            Options(
                port=options.port,
                url_ports=ports,
                aws_url=options.aws_url,
                region=options.region,
                environment={"AWS_ENDPOINT_URL": options.aws_url, **_pairs(options.env)},
                workers_max=options.workers,
                queue_wait_s=options.queue_wait,
            ),
        )
    )
    return 0


def _pairs(items: Sequence[str]) -> dict[str, str]:
    return {name: value for name, _, value in (item.partition("=") for item in items)}


if __name__ == "__main__":
    sys.exit(main())
