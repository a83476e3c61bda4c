"""``python -m backend.lab.bench.closed_loop URL CONNECTIONS SECONDS [AUTHORIZATION]``: a lean closed loop.

Each connection posts the same order without a key, waits for the answer, and posts it again: how much an endpoint
can do, and how long it takes when nobody else asks. Prints one line of JSON; latencies in µs.
"""

import asyncio
import json
import sys
import time
from functools import partial
from typing import Any, cast
from urllib.parse import urlsplit

import httptools
import uvloop

from backend.lab.bench.figures import QUANTILES
from coffee_core.load.histogram import LatencyHistogram

_BODY = b'{"drink":"latte","store":"uptown","price":5.00,"timestamp":"2025-01-15T10:00:00Z"}'
_WARM = 20
"""Answers of each connection that are not counted into the latency: connections and caches are new."""


class _Loop(asyncio.Protocol):
    """One connection."""

    def __init__(self, request: bytes, until_s: float, latency: LatencyHistogram) -> None:
        self._request = request
        self._until_s = until_s
        self._latency = latency
        self._sent_s = 0.0
        self.accepted = self.failed = 0
        """Answers of 2xx, and others."""
        self.ended = asyncio.get_running_loop().create_future()
        """Done when the time is up and the last answer is there."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are of no class of asyncio's.
        self._transport = cast("asyncio.Transport", transport)
        self._parser = httptools.HttpResponseParser(self)
        self._send()

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_message_complete(self) -> None:
        """Note an answer and send again."""
        now_s = time.perf_counter()
        if 200 <= self._parser.get_status_code() < 300:
            self.accepted += 1
            if self.accepted > _WARM:
                self._latency.record((now_s - self._sent_s) * 1e6)
        else:
            self.failed += 1
        if now_s < self._until_s:
            self._send()
        else:
            self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.ended.done():
            self.ended.set_result(exc)

    def _send(self) -> None:
        self._sent_s = time.perf_counter()
        self._transport.write(self._request)


async def _run(url: str, connections: int, for_s: float, authorization: str) -> dict[str, Any]:
    parts = urlsplit(url)
    extra = f"Authorization: {authorization}\r\n" if authorization else ""
    head = (
        f"POST {parts.path} HTTP/1.1\r\nHost: {parts.netloc}\r\nContent-Type: application/json\r\n{extra}"
        f"Content-Length: {len(_BODY)}\r\n\r\n"
    )
    latency, started_s = LatencyHistogram(), time.perf_counter()
    loops = [_Loop(head.encode() + _BODY, started_s + for_s, latency) for _ in range(connections)]
    for loop in loops:
        await asyncio.get_running_loop().create_connection(
            partial(_same, loop), parts.hostname or "", parts.port or 80
        )
    await asyncio.gather(*(loop.ended for loop in loops))
    seconds = time.perf_counter() - started_s
    taken = sum(loop.accepted for loop in loops)
    return {
        "taken": taken,
        "failed": sum(loop.failed for loop in loops),
        "per_s": taken / seconds,
        **{
            name: latency.percentile_us(percentile) if latency.total else None
            for name, percentile in QUANTILES.items()
        },
    }


def _same(loop: _Loop) -> _Loop:
    return loop


def main() -> None:
    """Run it and print what was measured."""
    url, connections, for_s, *authorization = sys.argv[1:]
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        result = runner.run(_run(url, int(connections), float(for_s), "".join(authorization)))
    sys.stdout.write(json.dumps(result) + "\n")


if __name__ == "__main__":
    main()
