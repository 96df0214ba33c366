"""FastAPI: `uvicorn examples.sdk.fastapi_app:create_app --factory`."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Header
from fastapi.responses import StreamingResponse
from openai import AsyncOpenAI
from tollkeeper import AsyncTollkeeper, BlockedError
from tollkeeper.integrations.starlette import blocked_response


def create_app() -> FastAPI:
    """An app with one streamed answer."""
    tk = AsyncTollkeeper()
    openai = AsyncOpenAI()
    create = tk.wrap(openai.chat.completions.create)

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        yield
        await openai.close()
        await tk.close()  # delivers the usage that is still waiting

    def current_user(x_user: Annotated[str, Header()]) -> str:
        return x_user  # an app of your own reads a session here

    app = FastAPI(lifespan=lifespan)
    app.add_exception_handler(BlockedError, blocked_response)

    @app.post("/chat")
    async def chat(text: str, user: Annotated[str, Depends(current_user)]) -> StreamingResponse:
        # Called here, not within the stream: a block can still become the answer's status.
        stream = await create(
            model="gpt-4o-mini",
            messages=[{"role": "user", "content": text}],
            max_completion_tokens=200,
            stream=True,
            tollkeeper_user=user,
        )

        async def words() -> Any:
            async for chunk in stream:
                for choice in chunk.choices:
                    yield choice.delta.content or ""

        return StreamingResponse(words(), media_type="text/plain")

    return app
