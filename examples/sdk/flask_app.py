"""Flask: `flask --app examples.sdk.flask_app run`."""

from flask import Flask, request
from openai import OpenAI
from tollkeeper import Tollkeeper
from tollkeeper.integrations.flask import init_app


def create_app() -> Flask:
    """An app with one answer."""
    tk = Tollkeeper()
    client = tk.wrap_client(OpenAI())
    app = Flask(__name__)
    # An app of your own reads the session here.
    init_app(app, tk, get_user=lambda: request.headers.get("x-user"))

    @app.post("/chat")
    def chat() -> dict[str, str | None]:
        reply = client.chat.completions.create(
            model="gpt-4o-mini",
            messages=[{"role": "user", "content": request.get_data(as_text=True)}],
            max_completion_tokens=200,
        )
        return {"said": reply.choices[0].message.content}

    return app
