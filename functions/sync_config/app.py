"""SSM parameters -> validated -> Redis, on every change and on a schedule."""

from typing import Any

from tollkeeper_core import bootstrap
from tollkeeper_core.services.sync_config import ConfigError
from tollkeeper_core.telemetry import count, flush, logger


@logger.inject_lambda_context(clear_state=True)
def handler(_event: dict[str, Any], _context: object) -> dict[str, Any]:
    """Any event -> ``{"published": bool}``, or ``{"error": str}`` for a wrong configuration.

    A wrong one is not raised: trying again would not mend it. It is logged, counted and kept.
    """
    try:
        published = bootstrap.sync_config()()
        logger.info("synced", extra={"published": published})
        return {"published": published}
    except ConfigError as error:
        count("ConfigError")
        logger.error("the configuration is wrong", extra={"reason": str(error)})
        return {"error": str(error)}
    finally:
        flush()
