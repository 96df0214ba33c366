"""A WSGI app of one metered call, for gunicorn: made before it forks, as `--preload` has it."""

import os
from collections.abc import Callable, Iterable
from typing import Any

from openai import OpenAI
from tollkeeper import Tollkeeper

tk = Tollkeeper()
create = tk.wrap(OpenAI(max_retries=0).chat.completions.create)


def call(user: str) -> str:
    answer = create(
        model="gpt-4o-mini",
        messages=[{"role": "user", "content": "rivers?"}],
        max_tokens=20,
        tollkeeper_user=user,
    )
    return str(answer.choices[0].message.content)


# The parent has used its connections and threads by the time that it forks. (Those of the openai
# client must not be: they would be shared.)
with tk.meter(user="parent", amount_usd="0.01") as meter:
    meter.report(cost_usd="0.005")
tk.flush()


def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    text = call(environ["QUERY_STRING"])
    start_response("200 OK", [("Content-Type", "text/plain"), ("X-Pid", str(os.getpid()))])
    return [text.encode()]
