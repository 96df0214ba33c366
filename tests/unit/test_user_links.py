"""Links that an app asks for: a button's, and an e-mail's that lives for days."""

from typing import Any

import pytest
from pydantic import ValidationError
from tollkeeper_core.domain.api import LinkRequest
from tollkeeper_core.domain.links import LINK_SECONDS, LinkError, verify_link
from tollkeeper_core.domain.rules import Rules
from tollkeeper_core.services.config_cache import ConfigCache
from tollkeeper_core.services.links import Links
from tollkeeper_core.services.usage import UserLinks

from tests.support.upgrade import KEY, NOW_MS, Upgrade

DAY_S = 86_400


def token(**request: Any) -> str:
    up = Upgrade()
    rules = Rules.of_snapshot(up.config.config.snapshot)
    configs = ConfigCache(lambda: ("1", rules), lambda: rules, up.clock)
    links = UserLinks(configs, Links("https://page.test", lambda: KEY, up.clock))
    url: str = links(LinkRequest.model_validate({"user_id": "ada", **request}))["upgrade_url"]
    return url.partition("?t=")[2]


@pytest.mark.parametrize(
    ("request_", "seconds"),
    [({}, LINK_SECONDS), ({"expires_in": 7 * DAY_S}, 7 * DAY_S), ({"expires_in": 60}, 60)],
)
def test_a_link_works_for_as_long_as_it_was_asked_to(request_: dict[str, Any], seconds: int):
    made = token(**request_)
    assert verify_link(made, [KEY], NOW_MS + seconds * 1000 - 1).user_id == "ada"
    with pytest.raises(LinkError, match="expired"):
        verify_link(made, [KEY], NOW_MS + seconds * 1000)


@pytest.mark.parametrize("seconds", [0, -60, 59, 30 * DAY_S + 1, 1.5, "soon", None, True])
def test_a_lifetime_that_is_none_is_refused(seconds: object):
    with pytest.raises(ValidationError, match="expires_in"):
        LinkRequest.model_validate({"user_id": "ada", "expires_in": seconds})


def test_an_emails_link_opens_the_page_days_later():
    made = token(expires_in=7 * DAY_S)
    up = Upgrade()
    up.clock.now_ms += 6 * DAY_S * 1000
    assert up.service.page(made).claims.user_id == "ada"
    up.service.start_checkout(made, "pack", "starter", "https://page.test")
    assert len(up.billing.requests) == 1
