"""The order API inside the test's own process: started as a server starts it, without a socket."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Mapping
from typing import Any

from starlette.types import ASGIApp, Message

from backend.api.app import create_app
from coffee_core.settings import Settings
from tests.integration.backend.api.process import ORDER
from tests.unit.backend.api.asgi import JSON, ask


class LocalApi:
    """Speaks as ``process.Api`` does."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def order(
        self, pipeline: str, order: Mapping[str, Any] = ORDER, key: str = "", headers: Mapping[str, str] = {}
    ) -> tuple[int, dict[str, Any]]:
        """Post an order; return the status and the JSON of the answer."""
        sent = {**dict([JSON]), **({"Idempotency-Key": key} if key else {}), **headers}
        answer = await ask(self.app, f"/api/{pipeline}/order", json.dumps(order).encode(), sent.items())
        return answer.status, answer.json

    async def batch(
        self, pipeline: str, body: bytes, media_type: str = "application/json", headers: Mapping[str, str] = {}
    ) -> tuple[int, Any]:
        """Post orders; return the status and the JSON of the answer."""
        sent = {"content-type": media_type, **headers}
        answer = await ask(self.app, f"/api/{pipeline}/orders", body, sent.items())
        return answer.status, answer.json

    async def get(self, path: str) -> tuple[int, Any]:
        """Return the status and the JSON of a page."""
        answer = await ask(self.app, path, method="GET")
        return answer.status, answer.json

    async def text(self, path: str) -> str:
        """Return a page as text."""
        return (await ask(self.app, path, method="GET")).body.decode()

    async def is_ready(self, pipeline: str) -> bool:
        """Tell what /readyz says of a pipeline."""
        return (await self.get(f"/readyz/{pipeline}"))[0] == 200


@contextlib.asynccontextmanager
async def in_process(settings: Settings) -> AsyncIterator[LocalApi]:
    """Run the API for the length of the block."""
    crashed = asyncio.Event()
    app = create_app(settings, crashed.set)
    to_app: asyncio.Queue[Message] = asyncio.Queue()
    from_app: asyncio.Queue[Message] = asyncio.Queue()
    task = asyncio.ensure_future(app({"type": "lifespan", "state": {}}, to_app.get, from_app.put))
    await to_app.put({"type": "lifespan.startup"})
    assert (await from_app.get())["type"] == "lifespan.startup.complete"
    try:
        yield LocalApi(app)
    finally:
        await to_app.put({"type": "lifespan.shutdown"})
        assert (await from_app.get())["type"] == "lifespan.shutdown.complete"
        await task
    assert not crashed.is_set()
