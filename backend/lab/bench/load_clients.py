"""Load clients, processes that share a plan: one process is soon the bottleneck of what it measures.

``LoadClients`` starts them. Each is ``python -m backend.lab.bench.load_clients API_URL``: it reads plans from
standard input, one JSON object a line, and runs them one after the other. It writes lines of JSON: ``{"ready":
true}`` at first, ``{"report": …}`` while a plan runs, ``{"samples": {pipeline: …}}`` at its end. It ends with its
standard input.
"""

import asyncio
import json
import signal
import sys
import time
from asyncio import StreamReader, StreamReaderProtocol
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Self, cast
from urllib.parse import urlsplit

import httptools
import uvloop

from coffee_core.children import child_environ, python_module
from coffee_core.errors import CoffeeError
from coffee_core.load.generator import run_plan
from coffee_core.load.orders import Attempt, Kind
from coffee_core.load.plan import LoadReport, Plan
from coffee_core.load.statistics import Answer, Outcome, Sample, outcome_of, reason_of
from coffee_core.parent_death_signal import dies_with_parent
from coffee_core.pipelines import PIPELINES, Pipeline, pipeline_named
from coffee_core.settings import Settings
from coffee_core.tasks import end_tasks

_LEAD_S = 0.15
"""Seconds from sending the plan to the clients until the first order: they all have it by then."""
_LONGEST_LINE = 1 << 30
_LEAVE_S = 2.0
_TIMEOUT_S = 15.0
OnReport = Callable[[Mapping[Pipeline, Mapping[str, int]]], None]
"""Called now and then with, for each pipeline, the counts of all clients together."""


class LoadClientError(CoffeeError):
    """A load client has failed."""


class LoadClients:
    """So many client processes. Use it as an asynchronous context manager."""

    def __init__(self, api_url: str, number: int, environ: Mapping[str, str] | None = None) -> None:
        self._api_url = api_url
        self._number = number
        self._environ = child_environ() if environ is None else dict(environ)
        self._processes: list[asyncio.subprocess.Process] = []

    async def __aenter__(self) -> Self:
        """Start the processes and wait until they can send. Raises LoadClientError."""
        for _ in range(self._number):
            process = await asyncio.create_subprocess_exec(
                *python_module("backend.lab.bench.load_clients", self._api_url),
                env=self._environ,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                limit=_LONGEST_LINE,
                preexec_fn=dies_with_parent(),
            )
            self._processes.append(process)
        await asyncio.gather(*map(_wait_ready, self._processes))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the processes, also in the middle of a plan."""
        for process in self._processes:
            assert process.stdin is not None, "it was started with a pipe"
            process.stdin.close()
        await asyncio.wait([asyncio.create_task(process.wait()) for process in self._processes], timeout=_LEAVE_S)
        for process in self._processes:
            if process.returncode is None:
                process.kill()
                await process.wait()

    async def run(self, plan: Plan, on_report: OnReport | None = None) -> tuple[float, dict[Pipeline, Sample]]:
        """Run a plan; return when it began (monotonic seconds) and what was measured of each pipeline.

        Raises LoadClientError with the words of a client that has failed.
        """
        start_s = time.monotonic() + _LEAD_S
        latest: dict[int, LoadReport] = {}

        def on_client_report(number: int, report: LoadReport) -> None:
            latest[number] = report
            if on_report is not None:
                on_report(_summed(plan, latest))

        parts = plan.split(self._number, start_s)
        pairs = zip(self._processes, parts, strict=True)
        ended = await asyncio.gather(
            *(_run_part(number, *pair, on_client_report) for number, pair in enumerate(pairs))
        )
        samples = {pipeline: Sample() for pipeline in plan.pipelines}
        for part in ended:
            for pipeline, sample in part.items():
                samples[pipeline].add(sample)
        return start_s, samples


async def _run_part(
    number: int,
    process: asyncio.subprocess.Process,
    plan: Plan,
    on_client_report: Callable[[int, LoadReport], None],
) -> dict[Pipeline, Sample]:
    assert process.stdin is not None, "it was started with pipes"
    assert process.stdout is not None, "it was started with pipes"
    process.stdin.write(plan.to_json().encode() + b"\n")
    async for line in process.stdout:
        message = json.loads(line)
        if "samples" in message:
            return {pipeline_named(name): Sample.from_json(text) for name, text in message["samples"].items()}
        on_client_report(number, LoadReport.from_json(message["report"]))
    raise await _failure(process)


async def _wait_ready(process: asyncio.subprocess.Process) -> None:
    assert process.stdout is not None, "it was started with pipes"
    if not await process.stdout.readline():
        raise await _failure(process)


async def _failure(process: asyncio.subprocess.Process) -> LoadClientError:
    assert process.stderr is not None, "it was started with pipes"
    words = (await process.stderr.read()).decode(errors="replace").strip().splitlines()
    return LoadClientError(f"a load client ended: {words[-1] if words else f'exit code {await process.wait()}'}")


def _summed(plan: Plan, latest: Mapping[int, LoadReport]) -> dict[Pipeline, dict[str, int]]:
    summed: dict[Pipeline, dict[str, int]] = {pipeline: {} for pipeline in plan.pipelines}
    for report in latest.values():
        for pipeline, total in summed.items():
            for name, count in report.counts[pipeline].items():
                if not name.endswith("_us"):
                    total[name] = total.get(name, 0) + (count or 0)
    return summed


# What runs in each client process.


class LeanSender:
    """An HTTP client of the order API that costs little: on a small machine its own work is in every figure.

    It stands beside ``coffee_core.load.sender``, whose aiohttp costs more, and leaves out what the API does not
    need: it speaks HTTP/1.1 on kept connections and knows no redirects, no cookies, no compression, and the answer
    to an acknowledged order comes without its message id. Use it as an asynchronous context manager.
    """

    def __init__(self, api_url: str, *, timeout_s: float, authorization: Mapping[str, str] | None = None) -> None:
        self._parts = urlsplit(api_url)
        self._timeout_s = timeout_s
        self._idle: list[_Connection] = []
        fixed = {"Host": self._parts.netloc, "Content-Type": "application/json"} | dict(authorization or {})
        self._headers = "".join(f"{name}: {value}\r\n" for name, value in fixed.items())

    async def __aenter__(self) -> Self:
        """Connect nowhere yet."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close every connection."""
        for connection in [*self._idle]:
            connection.close()

    async def send(self, attempt: Attempt, intended_s: float | None = None) -> Answer:
        """POST one attempt, as ``coffee_core.load.sender`` does: every failure of the network is an outcome."""
        begun_s = time.monotonic() if intended_s is None else intended_s
        status, outcome, reason = None, Outcome.UNKNOWN, ""
        connection = None
        try:
            connection = self._idle.pop() if self._idle else await self._connect()
            async with asyncio.timeout(self._timeout_s):
                status, body = await connection.ask(self._request(attempt))
            outcome = outcome_of(status)
            reason = "" if outcome is Outcome.ACKNOWLEDGED else reason_of(status, body)
        except TimeoutError:
            reason = f"no answer within {self._timeout_s:g} s"
            if connection is not None:
                connection.close()
        except OSError as error:
            outcome = Outcome.REFUSED if connection is None else Outcome.UNKNOWN
            words = "no connection" if connection is None else "connection lost"
            reason = f"{words}: {error.strerror or error}"
        latency_us = int((time.monotonic() - begun_s) * 1e6)
        return Answer(attempt, outcome, status, None, reason, latency_us, begun_s)

    async def _connect(self) -> "_Connection":
        tls = self._parts.scheme == "https"
        port = self._parts.port or (443 if tls else 80)
        _, connection = await asyncio.get_running_loop().create_connection(
            lambda: _Connection(self._idle), self._parts.hostname or "", port, ssl=tls or None
        )
        return connection

    def _request(self, attempt: Attempt) -> bytes:
        key = "" if attempt.key is None else f"Idempotency-Key: {attempt.key}\r\n"
        head = f"POST {self._parts.path}/api/{attempt.pipeline}/order HTTP/1.1\r\n{self._headers}{key}"
        return f"{head}Content-Length: {len(attempt.body)}\r\n\r\n".encode() + attempt.body


class _Connection(asyncio.Protocol):
    """One connection, with one request at a time."""

    def __init__(self, idle: "list[_Connection]") -> None:
        self._idle = idle
        self._body = b""
        self._answer: asyncio.Future[tuple[int, bytes]] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are of no class of asyncio's.
        self._transport = cast("asyncio.Transport", transport)
        self._parser = httptools.HttpResponseParser(self)

    def ask(self, request: bytes) -> "asyncio.Future[tuple[int, bytes]]":
        """Send a request; the future has its status and body, or OSError."""
        self._answer, self._body = asyncio.get_running_loop().create_future(), b""
        self._transport.write(request)
        return self._answer

    def close(self) -> None:
        """Close the connection, whatever is on its way."""
        self._answer = None
        self._transport.abort()

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self._transport.abort()

    def on_body(self, body: bytes) -> None:
        """Keep a part of the body."""
        self._body += body

    def on_message_complete(self) -> None:
        """Hand over the answer, and be free for the next request."""
        answer, self._answer = self._answer, None
        if answer is not None and not answer.done():
            answer.set_result((self._parser.get_status_code(), self._body))
        if self._parser.should_keep_alive():
            self._idle.append(self)
        else:
            self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        if self in self._idle:
            self._idle.remove(self)
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(exc if isinstance(exc, OSError) else ConnectionResetError("closed"))


async def _serve(api_url: str) -> None:
    lines = StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: StreamReaderProtocol(lines), sys.stdin)
    authorization = Settings.attach().authorization
    async with LeanSender(api_url, timeout_s=_TIMEOUT_S, authorization=authorization) as sender:
        # The first request of a process takes long, and must not be one of the plan. An empty order goes nowhere.
        await sender.send(Attempt(PIPELINES[0], Kind.MALFORMED, b"", None, "", "", "", 0, 0))
        _write({"ready": True})
        next_line = asyncio.create_task(lines.readline())
        while line := await next_line:
            next_line = asyncio.create_task(lines.readline())
            running = asyncio.create_task(run_plan(Plan.from_json(line), sender, _report))
            await asyncio.wait({next_line, running}, return_when=asyncio.FIRST_COMPLETED)
            if not running.done():
                await end_tasks(running)  # whoever started us has gone, or has had enough
                return
            samples = {pipeline: sample.to_json() for pipeline, sample in running.result().items()}
            _write({"samples": samples})


def _report(report: LoadReport) -> None:
    _write({"report": report.to_json()})


def _write(message: dict[str, object]) -> None:
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


def main() -> int:
    """Run until standard input ends. Exit code 1, with one line on standard error, where something is wrong."""
    # Ctrl-C goes to the whole terminal; when this ends is its parent's decision.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_serve(sys.argv[1]))
    except BrokenPipeError:
        return 0  # the parent has gone
    except CoffeeError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
