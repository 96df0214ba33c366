"""How a function's process is started: its command, Lambda's own variables and the template's."""

import os
import sys
from collections.abc import Mapping

from infra.local.lambdas.python import lambda_python
from infra.local.template import Function

# What the machine must lend: where programs are, and how to get out to a real Stripe or Upstash
# through the owner's proxy. Nothing else of the developer's environment reaches a function,
# above all no AWS credentials.
_LENT = (
    "PATH",
    "HTTPS_PROXY",
    "https_proxy",
    "NO_PROXY",
    "no_proxy",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
)


def runtime_command(function: Function) -> list[str]:
    """What starts a worker: without site-packages where the function brings its own (see below)."""
    if function.layers:
        return [str(lambda_python().executable), "-S", "-m", "awslambdaric", function.handler]
    return [sys.executable, "-m", "awslambdaric", function.handler]


def worker_environment(
    function: Function, *, region: str, runtime_api: str, extra: Mapping[str, str]
) -> dict[str, str]:
    """The variables of one worker; `extra` (addresses of this machine) goes over the template's.

    Names and values: Lambda developer guide, "Defined runtime environment variables".
    """
    python = f"python{lambda_python().version}"
    environment = {name: os.environ[name] for name in _LENT if name in os.environ}
    environment |= {
        "LANG": "en_US.UTF-8",
        "TZ": ":UTC",
        "PYTHONUNBUFFERED": "1",
        "AWS_REGION": region,
        "AWS_DEFAULT_REGION": region,
        "AWS_ACCESS_KEY_ID": "local",
        "AWS_SECRET_ACCESS_KEY": "local",
        "AWS_SESSION_TOKEN": "local",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_EXECUTION_ENV": f"AWS_Lambda_{python}",
        "AWS_LAMBDA_FUNCTION_NAME": function.name,
        "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(function.memory_mb),
        "AWS_LAMBDA_INITIALIZATION_TYPE": "snap-start" if function.snap_start else "on-demand",
        "AWS_LAMBDA_LOG_GROUP_NAME": f"/aws/lambda/{function.name}",
        "AWS_LAMBDA_LOG_STREAM_NAME": "local",
        "AWS_LAMBDA_RUNTIME_API": runtime_api,
        "LAMBDA_TASK_ROOT": str(function.task_root),
        "_HANDLER": function.handler,
    }
    if function.layers:
        # Built code runs as in Lambda: from its own folder, its layers and the runtime, which are
        # read-only there, hence without byte code. Nothing of the developer's environment is seen.
        path = [function.task_root, *function.layers, lambda_python().packages]
        environment |= {
            "PYTHONPATH": os.pathsep.join(map(str, path)),
            "PYTHONDONTWRITEBYTECODE": "1",
            "PYTHONNOUSERSITE": "1",
        }
    if function.json_logs:
        environment["AWS_LAMBDA_LOG_FORMAT"] = "JSON"
    if function.log_level:
        environment["AWS_LAMBDA_LOG_LEVEL"] = function.log_level
    return {**environment, **function.environment, **extra}
