"""``python -m backend.lab.bench.textbook PORT``: an endpoint as a textbook has it, JSON in and JSON out.

Starlette on uvicorn with the settings that they come with: a yardstick that many know from their own machines.
"""

import sys

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route


async def _order(request: Request) -> JSONResponse:
    order = await request.json()
    return JSONResponse({"status": "accepted", "drink": order["drink"]}, status_code=202)


def main() -> None:
    """Serve POST /order on the loopback until told to end."""
    app = Starlette(routes=[Route("/order", _order, methods=["POST"])])
    uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]), access_log=False, log_level="warning")


if __name__ == "__main__":
    main()
