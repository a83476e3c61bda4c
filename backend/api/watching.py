"""GET /api/dashboard once, /api/events as server-sent events, /ws/dashboard by websocket."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import BaseRoute, Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from backend.api import dashboard
from backend.api.feed import Feed
from backend.api.kinds import UNAVAILABLE
from backend.api.outcome import OutcomeUnknownError, UnavailableError
from backend.api.problems import ProblemError
from backend.api.redis_backend import RedisBackend

_FRESH = {"Cache-Control": "no-store"}
_TRY_AGAIN_LATER = 1013


def routes(redis: RedisBackend, feed: Feed) -> list[BaseRoute]:
    """Return the routes; they raise ProblemError."""

    async def once(_: Request) -> Response:
        try:
            reading = await dashboard.read(redis)
        except (UnavailableError, OutcomeUnknownError) as error:
            raise ProblemError(UNAVAILABLE, str(error)) from error
        return Response(reading.json(), media_type="application/json", headers=_FRESH)

    async def events(request: Request) -> Response:
        feed.require_room()
        if request.method == "HEAD":  # the stream itself would not end
            return Response(media_type="text/event-stream", headers=_FRESH)
        return StreamingResponse(_events(feed), media_type="text/event-stream", headers=_FRESH)

    async def websocket(socket: WebSocket) -> None:
        await socket.accept()
        tasks = [asyncio.create_task(each) for each in (_push(socket, feed), _until_gone(socket))]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            ended = await asyncio.gather(*tasks, return_exceptions=True)
        for error in ended:
            # One that goes while it is being sent something is no error.
            if isinstance(error, Exception) and not isinstance(error, WebSocketDisconnect):
                raise error

    return [
        Route("/api/dashboard", once),
        Route("/api/events", events),
        WebSocketRoute("/ws/dashboard", websocket),
    ]


async def _events(feed: Feed) -> AsyncIterator[bytes]:
    async with aclosing(feed.watch()) as snapshots:
        async for snapshot in snapshots:
            # A comment is no event: it only finds out whether the client is still there.
            yield b": quiet\n\n" if snapshot is None else b"data: " + snapshot + b"\n\n"


async def _push(socket: WebSocket, feed: Feed) -> None:
    try:
        async with aclosing(feed.watch()) as snapshots:
            async for snapshot in snapshots:
                if snapshot is not None:
                    await socket.send_text(snapshot.decode())
    except ProblemError as problem:
        await socket.close(_TRY_AGAIN_LATER, problem.detail)
    else:
        await socket.close(1001, "the API ends")


async def _until_gone(socket: WebSocket) -> None:
    # What a client says is not listened to.
    while (await socket.receive())["type"] != "websocket.disconnect":
        pass
