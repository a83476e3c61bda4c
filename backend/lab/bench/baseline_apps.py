"""``python -m backend.lab.bench.baseline_apps NAME PORT``: an endpoint without a pipeline, to compare with.

``noop`` is the server of the API with nothing behind it: the ceiling. ``starlette`` is an endpoint as a textbook
has it, JSON in and JSON out, Starlette on uvicorn with the settings that they come with: a yardstick that many
know from their own machines.
"""

import sys
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from backend.api.http_protocol import LimitedProtocol

_HEADERS = [(b"content-type", b"application/json"), (b"content-length", b"2")]


class _Noop:
    """An ASGI application, not a function: Starlette would wrap that into requests and responses."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002
        await receive()
        await send({"type": "http.response.start", "status": 202, "headers": list(_HEADERS)})
        await send({"type": "http.response.body", "body": b"{}"})


async def _starlette(request: Request) -> JSONResponse:
    order = await request.json()
    return JSONResponse({"status": "accepted", "drink": order["drink"]}, status_code=202)


_AS_THE_API: dict[str, Any] = {
    "loop": "uvloop",
    "http": LimitedProtocol,
    "lifespan": "off",
    "access_log": False,
    "log_config": None,
    "server_header": False,
    "proxy_headers": False,
}
_AS_IT_COMES: dict[str, Any] = {"access_log": False, "log_level": "warning"}
_ENDPOINTS: dict[str, tuple[Any, dict[str, Any]]] = {
    "noop": (_Noop(), _AS_THE_API),
    "starlette": (_starlette, _AS_IT_COMES),
}


def main() -> None:
    """Serve POST /order on the loopback until a signal ends it."""
    name, port = sys.argv[1:]
    endpoint, options = _ENDPOINTS[name]
    app = Starlette(routes=[Route("/order", endpoint, methods=["POST"])])
    uvicorn.run(app, host="127.0.0.1", port=int(port), **options)


if __name__ == "__main__":
    main()
