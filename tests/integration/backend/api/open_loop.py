"""Orders of v2 in an open loop.

``python -m tests.integration.backend.api.open_loop PORT CONNECTIONS RATE SECONDS``

Each order has its time, whatever became of those before it. It goes out on a connection that waits for no answer;
where there is none it is not sent, and counted. Rate 0: each connection again as soon as it is answered. Prints
JSON: answers by status, ``unsent``, ``seconds``, ``p99_ms`` of what was acknowledged, from the time that an order
had to its answer, ``cpu_s``, the processor time that the generator took, and ``acknowledged``, also those answered
when the time was up.
"""

import asyncio
import json
import sys
import time
from array import array
from collections import Counter, deque
from contextlib import suppress
from typing import cast

import uvloop

BODY = b'{"drink":"latte","store":"uptown","price":5.00,"timestamp":"2025-01-15T10:00:00Z"}'
HEAD = b"POST /api/v2/order HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
REQUEST = HEAD + b"Content-Length: %d\r\n\r\n" % len(BODY) + BODY
_TICK_S = 0.001
_PATIENCE_S = 5.0


class Loop:
    """Where all connections take their orders from."""

    def __init__(self, rate: float, for_s: float) -> None:
        self._rate = rate
        self._for_s = for_s
        self._began_s = 0.0
        self._due = 0
        self.free: deque[Connection] = deque()
        self.answers: Counter[str] = Counter()
        self.latencies_s = array("d")
        self.acknowledged = 0
        self.in_flight = 0
        self._settled = asyncio.Event()
        self.over = False

    def note(self, connection: "Connection", status: str) -> None:
        """Count an answer; its connection is free."""
        now_s = time.perf_counter()
        if not self.over:  # what is answered afterwards took no part in the seconds
            self.answers[status] += 1
            if status == "202":
                self.latencies_s.append(now_s - connection.due_s)
        self.acknowledged += status == "202"
        self.in_flight -= 1
        if self.over and not self.in_flight:
            self._settled.set()
        if self._rate or self.over:
            self.free.append(connection)
        else:
            self._send(connection, now_s)

    async def run(self) -> float:
        """Send for as long as was asked; return the seconds that it took."""
        self._began_s = time.perf_counter()
        if not self._rate:
            while self.free:
                self._send(self.free.popleft(), self._began_s)
        while (passed_s := time.perf_counter() - self._began_s) < self._for_s:
            while self._due < passed_s * self._rate:
                self._due += 1
                if self.free:
                    self._send(self.free.popleft(), self._began_s + self._due / self._rate)
                else:
                    self.answers["unsent"] += 1
            await asyncio.sleep(_TICK_S)
        self.over = True
        if not self.in_flight:
            self._settled.set()
        return passed_s

    async def settle(self) -> None:
        """Wait for the answers that are still to come, so that no order is cut off."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_PATIENCE_S):
                await self._settled.wait()

    def p99_ms(self) -> float:
        """Return the 99th percentile of what was acknowledged in time; 0 where nothing was."""
        return sorted(self.latencies_s)[len(self.latencies_s) * 99 // 100] * 1e3 if self.latencies_s else 0.0

    def _send(self, connection: "Connection", due_s: float) -> None:
        self.in_flight += 1
        connection.due_s = due_s
        connection.transport.write(REQUEST)


class Connection(asyncio.Protocol):
    """Reads no more of an answer than it needs."""

    transport: asyncio.Transport

    def __init__(self, loop: Loop) -> None:
        self._loop = loop
        self._answer = b""
        self.due_s = 0.0
        """When its order was to be sent."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)  # uvloop's is none by name
        self._loop.free.append(self)

    def data_received(self, data: bytes) -> None:
        self._answer += data
        head, ended, body = self._answer.partition(b"\r\n\r\n")
        if ended and len(body) == int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]):
            self._answer = b""
            self._loop.note(self, head[9:12].decode())


async def main(port: int, connections: int, rate: float, for_s: float) -> None:
    loop = Loop(rate, for_s)
    for _ in range(connections):
        await asyncio.get_running_loop().create_connection(lambda: Connection(loop), "127.0.0.1", port)
    before_s = time.process_time()
    seconds = await loop.run()
    cpu_s = time.process_time() - before_s
    said = {"answers": dict(loop.answers), "seconds": seconds, "cpu_s": cpu_s, "p99_ms": loop.p99_ms()}
    await loop.settle()
    said["acknowledged"] = loop.acknowledged
    sys.stdout.write(json.dumps(said) + "\n")


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]), float(sys.argv[4])))
