"""``python -m coffee_core.load``: the generator in a process of its own, told what to do on standard input.

So a dashboard's screen never stutters under its own load. It ends with its standard input: when its parent dies,
however it dies, nothing is left behind.
"""

import asyncio
import signal
import sys
from asyncio import StreamReader, StreamReaderProtocol

from coffee_core.errors import CoffeeError
from coffee_core.load.generator import Generator
from coffee_core.load.latest import LatestAnswers
from coffee_core.load.mix import Mix
from coffee_core.load.protocol import obey
from coffee_core.load.report import LoadReport
from coffee_core.load.sender import Sender
from coffee_core.settings import Settings

_REPORT_S = 0.2


async def serve(api_url: str) -> None:
    """Obey standard input until it ends, then wait for the answers to what was sent."""
    lines = StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: StreamReaderProtocol(lines), sys.stdin)
    latest = LatestAnswers()
    async with (
        Sender(api_url, authorization=Settings.attach().authorization) as sender,
        Generator(sender, Mix(), on_answer=latest.note) as generator,
    ):
        reports = asyncio.create_task(_report(generator, latest))
        try:
            await _obey_all(generator, lines, reports)
        finally:
            reports.cancel()
            await asyncio.wait({reports})


async def _obey_all(generator: Generator, lines: StreamReader, reports: "asyncio.Task[None]") -> None:
    while True:
        line = asyncio.ensure_future(lines.readline())
        await asyncio.wait({line, reports}, return_when=asyncio.FIRST_COMPLETED)
        if reports.done():
            line.cancel()
            return reports.result()
        if not line.result():
            return None
        obey(generator, line.result().decode())


async def _report(generator: Generator, latest: LatestAnswers) -> None:
    last: LoadReport | None = None
    while True:
        report = LoadReport.of(generator, latest.take())
        if report != last:
            sys.stdout.write(report.to_json() + "\n")
            sys.stdout.flush()
            last = report
        await asyncio.sleep(_REPORT_S)


def main() -> int:
    """Run until standard input ends. Exit code 1, with one line on standard error, where something is wrong."""
    # Ctrl-C goes to the whole terminal; when this ends is its parent's decision.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if len(sys.argv) != 2:
        sys.stderr.write("usage: python -m coffee_core.load API_URL\n")
        return 2
    try:
        asyncio.run(serve(sys.argv[1]))
    except BrokenPipeError:
        return 0  # the parent has gone
    except CoffeeError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
