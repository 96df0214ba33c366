"""The upgrade page as an ASGI application."""

from collections.abc import Callable

from starlette.applications import Starlette
from starlette.routing import Route
from tollkeeper_core.services.top_up_consent import EndTopUp
from tollkeeper_core.services.upgrade import UpgradeService

from functions.upgrade_page.assets import EMBED_PATHS, embed, static, theme
from functions.upgrade_page.auto_topup import end
from functions.upgrade_page.checkout import checkout, portal
from functions.upgrade_page.dismissed import dismissed
from functions.upgrade_page.errors import EXCEPTION_HANDLERS
from functions.upgrade_page.pages import done, upgrade
from functions.upgrade_page.status import status


def create_site(
    upgrade_service: Callable[[], UpgradeService], end_top_up: Callable[[], EndTopUp]
) -> Starlette:
    """The routes. Services are called when a request needs them: a script does not.

    Endpoints block on purpose: a Lambda instance has one request at a time, nobody waits behind it.
    """
    site = Starlette(
        routes=[
            Route("/upgrade", upgrade, methods=["GET"]),
            Route("/upgrade/checkout", checkout, methods=["POST"]),
            Route("/upgrade/dismissed", dismissed, methods=["POST"]),
            Route("/upgrade/portal", portal, methods=["POST"]),
            Route("/upgrade/auto-topup/end", end, methods=["POST"]),
            Route("/upgrade/status", status, methods=["GET"]),
            Route("/upgrade/done", done, methods=["GET"]),
            *(Route(path, embed, methods=["GET"]) for path in EMBED_PATHS),
            Route("/theme.css", theme, methods=["GET"]),
            Route("/static/{name}", static, methods=["GET"]),
        ],
        exception_handlers=EXCEPTION_HANDLERS,
    )
    site.state.upgrade_service = upgrade_service
    site.state.end_top_up = end_top_up
    return site
