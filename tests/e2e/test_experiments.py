"""An experiment through the whole stack: put as a parameter, seen, bought from, told, and ended."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime

from redis import Redis
from tollkeeper_core.adapters.redis_admin import RedisAdmin
from tollkeeper_core.adapters.redis_books import RedisBooks
from tollkeeper_core.adapters.redis_funnel import RedisFunnel
from tollkeeper_core.adapters.redis_http import LeanRedis
from tollkeeper_core.domain.experiments import Experiment, assign
from tollkeeper_core.domain.periods import Calendar
from tollkeeper_core.services.experiment_results import Arm, ExperimentResults

from infra.local.stack import LocalStack
from tests.support.story import Story, until

EXPERIMENT = Experiment.model_validate(
    {
        "name": "e2e",
        "holdout_percent": 50,
        "variants": [
            {
                "name": "plus",
                "packs": ["plus"],
                "plans": [],
                "texts": {"en": {"message": "Plus lasts longest."}},
            }
        ],
    }
)


@contextmanager
def running(stack: LocalStack) -> Iterator[None]:
    """As ``aws ssm put-parameter`` and ``delete-parameter`` begin and end it."""
    name = f"{stack.prefix}/experiment"
    with Redis(port=stack.redis_port, decode_responses=True) as redis:
        version = redis.hget("tk:config", "version")
        try:
            text = EXPERIMENT.model_dump_json(exclude_none=True)
            stack.ssm().put_parameter(Name=name, Value=text, Type="String")
            until(lambda: redis.hget("tk:config", "version"), lambda now: now != version)
            yield
        finally:
            stack.ssm().delete_parameter(Name=name)
            until(lambda: redis.hget("tk:config", "version"), lambda now: now == version)


def user_of(label: str, stack: LocalStack, open_stories: ExitStack) -> Story:
    """Somebody new in this arm."""
    while True:
        story = open_stories.enter_context(Story(stack))
        if assign(EXPERIMENT, story.user).label == label:
            return story


def results(stack: LocalStack) -> Sequence[Arm]:
    with LeanRedis(stack.upstash.url, stack.upstash.token, 10.0) as client:
        admin = RedisAdmin(client)
        sources = RedisFunnel(admin), RedisBooks(admin)
        today = datetime.now(UTC).date()
        found = ExperimentResults(*sources, {}, Calendar(), today).report("e2e", ["plus"])
    return found.arms if found else []


def test_two_users_of_different_variants_see_and_buy_different_things(stack: LocalStack) -> None:
    with ExitStack() as open_stories:
        mine = user_of("e2e:plus", stack, open_stories)
        held_out = user_of("e2e:holdout", stack, open_stories)
        with running(stack):
            link = mine.check("0.06")["upgrade_url"]
            variant = mine.browser.get(link).text
            plain = held_out.browser.get(held_out.check("0.06")["upgrade_url"]).text
            assert ["Plus lasts longest." in page for page in (variant, plain)] == [True, False]
            offers = [f'value="{name}"' for name in ("starter", "plus", "pro_monthly")]
            assert [offer in variant for offer in offers] == [False, True, False]
            assert [offer in plain for offer in offers] == [True, True, True]
            mine.buy(link, pack="plus")
            until(
                lambda: [(arm.name, arm.users, arm.buyers) for arm in results(stack)],
                lambda arms: arms == [("holdout", 1, 0), ("plus", 1, 1)],
            )
            stack.invoke("ReconcileFunction", {"money_hours": 1})
            assert results(stack)[1].sums.paid_minor == {"usd": 2000}
        after = mine.browser.get(mine.check("50")["upgrade_url"]).text
        assert [offer in after for offer in offers] == [True, True, True]
