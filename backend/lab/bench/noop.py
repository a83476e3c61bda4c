"""``python -m backend.lab.bench.noop PORT``: the server of the API with nothing behind it: the ceiling."""

import sys

import uvicorn
from starlette.applications import Starlette
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from backend.api.http_protocol import LimitedProtocol

_HEADERS = [(b"content-type", b"application/json"), (b"content-length", b"2")]


class _Nothing:
    """An ASGI application, not a function: Starlette would wrap that into requests and responses."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002
        await receive()
        await send({"type": "http.response.start", "status": 202, "headers": list(_HEADERS)})
        await send({"type": "http.response.body", "body": b"{}"})


def main() -> None:
    """Serve POST /order on the loopback until told to end."""
    app = Starlette(routes=[Route("/order", _Nothing(), methods=["POST"])])
    uvicorn.run(
        app,
        host="127.0.0.1",
        port=int(sys.argv[1]),
        loop="uvloop",
        http=LimitedProtocol,
        lifespan="off",
        access_log=False,
        log_config=None,
        server_header=False,
        proxy_headers=False,
    )


if __name__ == "__main__":
    main()
