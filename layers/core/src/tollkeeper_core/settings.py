"""The environment that the template gives a function, read once."""

import os
from functools import cache
from typing import NamedTuple

#: How long a request to Redis may take as a whole. A check's own deadline at its caller is 1 s.
_REDIS_DEADLINE_MS = 800


class Settings(NamedTuple):
    """Empty strings are what a function does not need and so is not given."""

    prefix: str
    region: str
    usage_queue_url: str
    top_up_queue_url: str
    archive_bucket: str
    event_bus: str
    upgrade_page_url: str
    stripe_api_base: str
    redis_deadline_s: float


@cache
def settings() -> Settings:
    """Raises KeyError for what every function needs."""
    env = os.environ
    return Settings(
        prefix=env["TOLLKEEPER_PREFIX"],
        region=env["AWS_REGION"],
        usage_queue_url=env.get("USAGE_QUEUE_URL", ""),
        top_up_queue_url=env.get("TOP_UP_QUEUE_URL", ""),
        archive_bucket=env.get("ARCHIVE_BUCKET", ""),
        event_bus=env.get("EVENT_BUS", ""),
        upgrade_page_url=env.get("UPGRADE_PAGE_URL", ""),
        stripe_api_base=env.get("STRIPE_API_BASE", ""),
        redis_deadline_s=int(env.get("REDIS_DEADLINE_MS", _REDIS_DEADLINE_MS)) / 1000,
    )
