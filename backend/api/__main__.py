"""The process ``cafe-order-api``: one uvicorn, one event loop, no workers."""

import asyncio
import errno
import gc
import logging
import resource
import signal
import socket
import sys
from contextlib import ExitStack
from typing import Any

import uvicorn

from backend import logs
from backend.api.app import create_app
from backend.api.http_protocol import LimitedProtocol, LimitedWSProtocol
from backend.clients.counters import Counters
from backend.clients.tracing import spans_from_env
from coffee_core.errors import ConfigError
from coffee_core.runstate import run_dir
from coffee_core.settings import Settings

GRACEFUL_S = 3
"""Seconds for the requests in hand at SIGTERM; longer than any of them may take to be answered."""
MAX_DESCRIPTORS = 10_240
"""Most open files, connections among them, where the system permits as many."""
MAX_MESSAGE_BYTES = 1024
"""Longest websocket message from a client; all are ignored."""
GC_THRESHOLD = 20_000
"""Objects made and not freed after which the youngest are searched for garbage; 512 orders in flight hold
as many."""
KEEP_ALIVE_S = 75
"""Seconds that an idle connection is kept: longer than clients pause, so that they do not lose the race."""


class _Server(uvicorn.Server):
    def __init__(self, closing: asyncio.Event, config: uvicorn.Config) -> None:
        super().__init__(config)
        self._closing = closing

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        # Before the server waits for its connections: those of the dashboard would never end.
        self._closing.set()
        await super().shutdown(sockets)


def _raise_descriptor_limit() -> None:
    # A connection is a descriptor: those that are slow must not use up the few that a shell allows at first.
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MAX_DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, MAX_DESCRIPTORS)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _tune_garbage_collection() -> None:
    # A third of an order's time would go into searching, again and again, what lives as long as the process.
    gc.collect()
    gc.freeze()
    gc.set_threshold(GC_THRESHOLD, *gc.get_threshold()[1:])


def _listening(settings: Settings) -> list[socket.socket]:
    """Return a bound socket for each address of the host that this machine has. Raises OSError where it has none.

    ``localhost`` often has one of IPv6 where that is switched off, as in most containers: the other one will do.
    """
    missing = OSError(errno.EADDRNOTAVAIL, "no such address")
    with ExitStack() as bound:
        there = []
        for family, _, _, _, address in dict.fromkeys(
            socket.getaddrinfo(settings.host, settings.api_port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        ):
            try:
                there.append(bound.enter_context(_bound(family, address, shared=settings.shared_port)))
            except OSError as error:
                if error.errno not in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT):
                    raise
                missing = error
        if not there:
            raise missing
        bound.pop_all()
    return there


def _bound(family: int, address: Any, *, shared: bool) -> socket.socket:
    with ExitStack() as opened:
        listening = opened.enter_context(socket.socket(family))
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:
            listening.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listening.bind(address)
        opened.pop_all()
    return listening


def main() -> int:
    """Serve until SIGTERM or SIGINT; return the exit code."""
    try:
        settings = Settings.from_env()
        spans = spans_from_env("cafe-order-api")
        counters = Counters(run_dir(settings.home) / f"api-{settings.api_port}" if settings.shared_port else None)
    except (ConfigError, OSError) as error:
        print(f"cafe-order-api: {error}", file=sys.stderr)  # noqa: T201
        return 2
    logs.configure("cafe-order-api", settings.log_format, settings.log_level)
    # aiokafka logs at every attempt what the probe logs once.
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL + 1)
    crashed = False

    def on_crash() -> None:
        nonlocal crashed
        crashed = True
        server.should_exit = True

    _raise_descriptor_limit()
    closing = asyncio.Event()
    app = create_app(settings, on_crash, closing, counters, with_short_ways=spans is None)
    if spans is not None:
        from backend.api.middleware import SpanMiddleware

        app = SpanMiddleware(app, spans)
    config = uvicorn.Config(
        app,
        host=settings.host,
        port=settings.api_port,
        loop="backend.api.http_protocol:EventLoop",
        http=LimitedProtocol,
        ws=LimitedWSProtocol,
        ws_max_size=MAX_MESSAGE_BYTES,
        ws_per_message_deflate=False,  # half a megabyte can be unpacked to half a gigabyte
        lifespan="on",
        access_log=False,
        log_config=None,
        server_header=False,
        workers=1,  # not what WEB_CONCURRENCY says of another server
        proxy_headers=False,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=GRACEFUL_S,
        ssl_certfile=settings.tls_certificate or None,
        ssl_keyfile=settings.tls_key or None,
    )
    try:
        config.load()
    except OSError as error:  # an SSLError is one
        print(f"cafe-order-api: certificate or key cannot be used: {error}", file=sys.stderr)  # noqa: T201
        return 2
    try:
        listening = _listening(settings)
    except OSError as error:
        where = f"{settings.host}, port {settings.api_port}"
        print(f"cafe-order-api: cannot listen on {where}: {error.strerror}", file=sys.stderr)  # noqa: T201
        return 1
    server = _Server(closing, config)
    # uvicorn ends in order and then raises the signal again: an ordered end is exit code 0 here.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)
    _tune_garbage_collection()
    server.run(listening)
    if spans is not None:
        spans.close()
    return 1 if crashed or not server.started else 0


if __name__ == "__main__":
    sys.exit(main())
