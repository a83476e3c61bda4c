"""The event loop of the API."""

from typing import Any

import uvloop

from backend.api.http_protocol import HEADERS_TIMEOUT_S


class EventLoop(uvloop.Loop):
    """uvloop, which waits for a TLS handshake no longer than for headers; uvicorn has no option for it."""

    async def create_server(self, *args: Any, **options: Any) -> Any:
        """Listen, as asyncio does."""
        if options.get("ssl") is not None:
            options["ssl_handshake_timeout"] = HEADERS_TIMEOUT_S
        return await super().create_server(*args, **options)
