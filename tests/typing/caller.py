"""What a caller of the SDK writes: every line has to be right in the eyes of type checkers."""

from typing import Literal, assert_type, overload

from tollkeeper import AsyncTollkeeper, BlockedError, Tollkeeper, Usage, Wrapped


class Completions:
    """Overloads, as the providers' packages have them."""

    @overload
    def create(self, *, model: str) -> int: ...
    @overload
    def create(self, *, model: str, stream: Literal[True]) -> list[bytes]: ...
    def create(self, *, model: str, stream: bool = False) -> int | list[bytes]:
        return [] if stream else len(model)

    async def acreate(self, model: str, /, *, n: int = 1) -> bytes:
        return model.encode() * n


tk = Tollkeeper("http://127.0.0.1:1", "tk_a_b")
client = tk.wrap_client(Completions())
assert_type(client, Completions)

create = tk.wrap(client.create)
assert_type(create(model="m"), int)
assert_type(create(model="m", stream=True), list[bytes])
assert_type(create.for_user("ada")(model="m"), int)
assert_type(create.for_user("ada", tier="pro")(model="m", stream=True), list[bytes])
with tk.user("ada", tier="free"):
    assert_type(tk.wrap(client.create, provider="azure")(model="m"), int)

assert_type(tk.get_usage("ada"), Usage)
assert_type(tk.get_usage().daily_percent, int | None)
assert_type(tk.upgrade_link("ada", tier="pro"), str)
try:
    tk.check(user_id="ada", amount_usd="0.01")
except BlockedError as block:
    assert_type(block.upgrade_url, str | None)
    assert_type(block.usage.credit_balance_display, str | None)


@tk.lambda_flush
def handler(event: dict[str, str], context: object) -> str:
    return event["user"]


assert_type(handler({}, None), str)


async def main(atk: AsyncTollkeeper) -> None:
    acreate = atk.wrap(client.acreate)
    assert_type(await acreate("m", n=2), bytes)
    assert_type(await acreate.for_user("ada")("m"), bytes)
    assert_type(await atk.get_usage("ada"), Usage)
    async with atk.meter(user="ada", model="m") as meter:
        meter.report({"input_tokens": 1})


def keep(method: Wrapped[type[str]]) -> str:
    return method("text")
