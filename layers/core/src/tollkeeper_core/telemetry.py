"""A function's log and metrics. Neither ever holds a key, a token or a user."""

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit

logger = Logger()
metrics = Metrics()


def count(name: str, more: int = 1) -> None:
    """``more`` of ``name``, in this invocation's line of metrics (CloudWatch EMF)."""
    metrics.add_metric(name, MetricUnit.Count, more)


def flush() -> None:
    """Write the line, where anything was counted: Powertools warns of an empty one."""
    if metrics.metric_set:
        metrics.flush_metrics()
