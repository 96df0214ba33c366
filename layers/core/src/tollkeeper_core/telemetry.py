"""A function's log and metrics. Neither ever holds a key, a token or a user."""

import logging

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit

logger = Logger()
metrics = Metrics()

# Lambda's own handler prints what libraries say of every request at INFO, and CloudWatch bills it.
for _library in ("botocore", "boto3", "stripe", "mangum", "urllib3"):
    logging.getLogger(_library).setLevel(logging.WARNING)


def count(name: str, more: int = 1) -> None:
    """``more`` of ``name``, in this invocation's line of metrics (CloudWatch EMF)."""
    metrics.add_metric(name, MetricUnit.Count, more)


def flush() -> None:
    """Write the line, where anything was counted: Powertools warns of an empty one."""
    if metrics.metric_set:
        metrics.flush_metrics()
