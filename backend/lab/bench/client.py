"""``python -m backend.lab.bench.client API_URL``: a load client in a process of its own.

Reads plans from standard input, one JSON object a line, and runs them one after the other. Writes lines of JSON:
``{"ready": true}`` at first, ``{"report": …}`` while a plan runs, ``{"samples": {pipeline: …}}`` at its end.
It ends with its standard input.
"""

import asyncio
import json
import signal
import sys
from asyncio import StreamReader, StreamReaderProtocol

import uvloop

from backend.lab.bench.lean_sender import LeanSender
from coffee_core.errors import CoffeeError
from coffee_core.load.mix import Attempt, Kind
from coffee_core.load.plan import Plan
from coffee_core.load.report import LoadReport
from coffee_core.load.run import run_plan
from coffee_core.pipelines import Pipeline
from coffee_core.settings import Settings

_TIMEOUT_S = 15.0


async def _serve(api_url: str) -> None:
    lines = StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: StreamReaderProtocol(lines), sys.stdin)
    authorization = Settings.attach().authorization
    async with LeanSender(api_url, timeout_s=_TIMEOUT_S, authorization=authorization) as sender:
        # The first request of a process takes long, and must not be one of the plan. An empty order goes nowhere.
        await sender.send(Attempt(Pipeline.V1, Kind.MALFORMED, b"", None, "", "", "", 0, 0))
        _say({"ready": True})
        gone = asyncio.create_task(lines.readline())
        while line := await gone:
            gone = asyncio.create_task(lines.readline())
            running = asyncio.create_task(run_plan(Plan.from_json(line), sender, _report))
            await asyncio.wait({gone, running}, return_when=asyncio.FIRST_COMPLETED)
            if not running.done():
                running.cancel()  # whoever started us has gone, or has had enough
                await asyncio.wait({running})
                return
            samples = {pipeline: sample.to_json() for pipeline, sample in running.result().items()}
            _say({"samples": samples})


def _report(report: LoadReport) -> None:
    _say({"report": report.to_json()})


def _say(line: dict[str, object]) -> None:
    sys.stdout.write(json.dumps(line) + "\n")
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
