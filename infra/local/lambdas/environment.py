"""How a function's process is started: its command, Lambda's own variables and the template's."""

import atexit
import os
import shutil
import sys
import tempfile
from collections.abc import Mapping
from functools import cache
from importlib.metadata import distribution
from pathlib import Path

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

#: What Lambda's Python has of its own (boto3, which it has as well, is in the layer).
_RUNTIME = ("awslambdaric", "simplejson", "snapshot-restore-py")


def runtime_command(function: Function) -> list[str]:
    """What starts a worker: without site-packages where the function brings its own (see below)."""
    alone = ["-S"] if function.layers else []
    return [sys.executable, *alone, "-m", "awslambdaric", function.handler]


@cache
def runtime_packages() -> Path:
    """A folder with AWS's runtime client and nothing else, for as long as this process lives."""
    folder = Path(tempfile.mkdtemp(prefix="tollkeeper-runtime-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    for name in _RUNTIME:
        for file in {path.parts[0] for path in distribution(name).files or ()}:
            (folder / file).symlink_to(str(distribution(name).locate_file(file)))
    return folder


def worker_environment(
    function: Function, *, region: str, runtime_api: str, extra: Mapping[str, str]
) -> dict[str, str]:
    """The variables of one worker; `extra` (addresses of this machine) goes over the template's.

    Names and values: Lambda developer guide, "Defined runtime environment variables".
    """
    python = f"python{sys.version_info.major}.{sys.version_info.minor}"
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
        path = [function.task_root, *function.layers, runtime_packages()]
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
