"""A line of a part's output, as a person wants to read it."""

import json
from dataclasses import dataclass
from typing import Any

# What Powertools' logger and the runtime client put on every line, and nobody reads locally.
_USUAL_KEYS = frozenset(
    {
        *("level", "location", "message", "timestamp", "service", "sampling_rate", "logger"),
        *("cold_start", "function_name", "function_memory_size", "function_arn"),
        *("function_request_id", "xray_trace_id", "requestId", "correlation_id", "tenantId"),
        *("exception", "exception_name", "stack_trace", "taskName"),
        *("errorType", "errorMessage", "stackTrace"),
    }
)
# Libraries that tell at INFO where they found credentials and what they send. (The URL itself tells
# of requests, hence mangum.)
_CHATTY_LOGGERS = ("botocore", "boto3", "s3transfer", "urllib3", "httpx", "stripe", "mangum")
_QUIET_LEVELS = {"INFO", "DEBUG"}
_QUIET_PREFIXES = ("START RequestId", "END RequestId", "REPORT RequestId")


@dataclass(frozen=True, slots=True)
class Line:
    """`level` is empty for a line that names none."""

    level: str
    text: str


def compact(raw: str) -> Line | None:
    """What to show of a line: level, message and its own fields of a JSON log, else as it is.

    None for what nobody reads: empty lines, metrics (EMF), what libraries chat about.
    """
    if not raw.strip() or raw.startswith(_QUIET_PREFIXES):
        return None
    record = _json_object(raw)
    if record is None or not {"level", "_aws"} & record.keys():
        return Line("", raw)
    return None if _is_noise(record) else Line(str(record["level"]), _text(record))


def _is_noise(record: dict[str, Any]) -> bool:
    if "_aws" in record:
        return True
    # The runtime client's advice on every failed start: AWS changes nothing here behind our back.
    if str(record.get("message", "")).startswith("LAMBDA_WARNING"):
        return True
    is_chat = str(record.get("logger", "")).startswith(_CHATTY_LOGGERS)
    return is_chat and record["level"] in _QUIET_LEVELS


def _text(record: dict[str, Any]) -> str:
    message = record.get("message", "")
    shown = message if isinstance(message, str) else json.dumps(message)
    if "errorType" in record:
        shown = f"{record['errorType']}: {record.get('errorMessage', '')}"
    fields = [
        f"{name}={value if isinstance(value, str) else json.dumps(value)}"
        for name, value in record.items()
        if name not in _USUAL_KEYS
    ]
    trace = record.get("exception") or "".join(record.get("stackTrace") or [])
    return "\n".join(filter(None, [" ".join([shown, *fields]).strip(), str(trace).rstrip()]))


def _json_object(raw: str) -> dict[str, Any] | None:
    if not raw.startswith("{"):
        return None
    try:
        value = json.loads(raw)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None
