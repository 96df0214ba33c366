"""Django in one file: `python -m examples.sdk.django_app runserver`."""

import sys

from django.conf import settings
from django.core.management import execute_from_command_line
from django.http import HttpRequest, JsonResponse
from django.urls import path
from openai import OpenAI
from tollkeeper import Tollkeeper

tk = Tollkeeper()
client = tk.wrap_client(OpenAI())

SETTINGS = {
    "ALLOWED_HOSTS": ["127.0.0.1", "testserver"],
    "ROOT_URLCONF": __name__,
    "MIDDLEWARE": ["tollkeeper.integrations.django.TollkeeperMiddleware"],
    "TOLLKEEPER_CLIENT": tk,
    # With AuthenticationMiddleware before it, the signed-in user, and this may be left out.
    "TOLLKEEPER_GET_USER": lambda request: request.headers.get("x-user"),
}


def chat(request: HttpRequest) -> JsonResponse:
    """One answer, of the user that the middleware named."""
    reply = client.chat.completions.create(
        model="gpt-4o-mini",
        messages=[{"role": "user", "content": request.GET.get("text", "Name three rivers.")}],
        max_completion_tokens=200,
    )
    return JsonResponse({"said": reply.choices[0].message.content})


urlpatterns = [path("chat", chat)]

if __name__ == "__main__":
    settings.configure(DEBUG=True, **SETTINGS)
    execute_from_command_line(sys.argv)
