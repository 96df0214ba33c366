"""The upgrade page behind its function URL."""

from mangum import Mangum
from mangum.types import LambdaContext, LambdaEvent
from tollkeeper_core import bootstrap
from tollkeeper_core.telemetry import flush, logger

from functions.upgrade_page.site import create_site

site = create_site(bootstrap.upgrade_service, bootstrap.end_top_up)
_asgi = Mangum(
    site,
    lifespan="off",
    text_mime_types=["text/", "application/json", "application/problem+json"],
)


@logger.inject_lambda_context(clear_state=True)
def handler(event: LambdaEvent, context: LambdaContext) -> dict[str, object]:
    """A function URL's event (payload 2.0) -> its answer."""
    try:
        return _asgi(event, context)
    finally:
        flush()
