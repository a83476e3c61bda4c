"""The process ``cafe-order-api``: one uvicorn, one event loop, no workers."""

import logging
import signal
import sys

import uvicorn

from backend.api.app import create_app
from coffee_core.errors import ConfigError
from coffee_core.settings import Settings

GRACEFUL_S = 3
"""Seconds for the requests in hand at SIGTERM; longer than any of them may take to be answered."""
KEEP_ALIVE_S = 75
"""Seconds that an idle connection is kept: longer than clients pause, so that they do not lose the race."""


def main() -> int:
    """Serve until SIGTERM or SIGINT; return the exit code."""
    try:
        settings = Settings.from_env()
    except ConfigError as error:
        print(f"cafe-order-api: {error}", file=sys.stderr)  # noqa: T201
        return 2
    logging.basicConfig(format="%(asctime)s %(levelname)s %(name)s: %(message)s", level=logging.INFO)
    # aiokafka says at every attempt what the probe says once.
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL + 1)
    crashed = False

    def on_crash() -> None:
        nonlocal crashed
        crashed = True
        server.should_exit = True

    server = uvicorn.Server(
        uvicorn.Config(
            create_app(settings, on_crash),
            host=settings.host,
            port=settings.api_port,
            loop="uvloop",
            http="httptools",
            ws="none",
            lifespan="on",
            access_log=False,
            log_config=None,
            server_header=False,
            proxy_headers=False,
            timeout_keep_alive=KEEP_ALIVE_S,
            timeout_graceful_shutdown=GRACEFUL_S,
        )
    )
    # uvicorn ends in order and then raises the signal again: an ordered end is exit code 0 here.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)
    server.run()
    return 1 if crashed or not server.started else 0


if __name__ == "__main__":
    sys.exit(main())
