"""Any other provider: reserve, call, and report its own usage object."""

import os

import httpx
from tollkeeper import Tollkeeper


def main() -> str:
    """Ask once as one user, over plain HTTP."""
    with (
        Tollkeeper() as tk,
        tk.meter(
            user="ada",
            provider="openai",
            model="gpt-4o-mini",
            input_tokens=20,
            max_output_tokens=200,
        ) as meter,
    ):
        response = httpx.post(
            f"{os.environ['OPENAI_BASE_URL']}/chat/completions",
            headers={"Authorization": f"Bearer {os.environ['OPENAI_API_KEY']}"},
            json={
                "model": "gpt-4o-mini",
                "messages": [{"role": "user", "content": "Name three rivers."}],
                "max_completion_tokens": 200,
            },
            timeout=60,
        )
        answer = response.raise_for_status().json()  # raised here, nothing is charged
        meter.report(answer["usage"], model=answer["model"])
        return str(answer["choices"][0]["message"]["content"])


if __name__ == "__main__":
    print(main())
