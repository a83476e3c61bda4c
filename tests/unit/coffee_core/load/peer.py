"""A peer on a real socket that answers as told: what a healthy API cannot be made to do on demand."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable

from aiohttp import web

Answerer = Callable[[web.Request], Awaitable[web.StreamResponse]]


@contextlib.asynccontextmanager
async def peer(answer: Answerer) -> AsyncIterator[str]:
    """Serve every path with ``answer`` on a free port of the loopback; yield its URL."""
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


def answering(status: int, body: dict[str, object]) -> Answerer:
    """Answer every request with this."""

    async def answer(_: web.Request) -> web.StreamResponse:
        return web.json_response(body, status=status)

    return answer


async def never(_: web.Request) -> web.StreamResponse:
    """Answer nothing."""
    await asyncio.Event().wait()
    raise AssertionError("unreachable")


async def hang_up(request: web.Request) -> web.StreamResponse:
    """Close the connection in the middle of a request."""
    assert request.transport is not None
    request.transport.abort()
    await asyncio.Event().wait()
    raise AssertionError("unreachable")
