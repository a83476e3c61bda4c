"""``python -m coffee_core.load``: the generator in a process of its own, by commands on standard input.

So a dashboard's screen never stutters under its own load. It ends with its standard input: when its parent dies,
however it dies, nothing is left behind.

One JSON object a line, either way. Commands, with what may be left out in brackets:

- ``{"do": "run", "rate_per_s": 20, "pipelines": ["v1"], ["pattern": "steady" | "ramp" | "poisson" | "burst",
  "from_per_s": 0, "over_s": 30, "every_s": 1]}``: from now on, in this ``Shape``, into exactly these pipelines
- ``{"do": "stop"}``: nothing more
- ``{"do": "burst", "orders": 1000, "pipelines": ["v1"]}``: at once, beside what runs
- ``{"do": "mix", ["repeats": 0.05, "malformed": 0.01, "keyless": 0, "drinks": {"latte": 2, …}, "stores": {…}]}``:
  shares and weights of ``OrderMix`` from now on; what is left out stays as it is

Reports: ``LoadReport``, several a second while something changes, each with the last few answers. The end of
standard input ends the process; a line that is no command does so too, with one line on standard error.
"""

import asyncio
import json
import signal
import sys
from asyncio import StreamReader, StreamReaderProtocol
from dataclasses import fields, replace
from typing import Any

from coffee_core.errors import CoffeeError
from coffee_core.load.generator import Generator
from coffee_core.load.orders import OrderMix, RandomOrders
from coffee_core.load.plan import LoadReport
from coffee_core.load.schedule import Shape
from coffee_core.load.sender import Sender
from coffee_core.load.statistics import LatestAnswers
from coffee_core.pipelines import Pipeline, pipeline_named
from coffee_core.settings import Settings

_REPORT_EVERY_S = 0.2


class CommandError(CoffeeError):
    """A line on standard input is no command of the load process."""


def execute(generator: Generator, line: str) -> None:
    """Execute one line of JSON. Raises CommandError naming what is wrong with it."""
    try:
        command = json.loads(line)
        match command.pop("do"):
            case "run":
                pipelines = _pipelines(command)
                generator.run(Shape(**_fields_of(command, Shape, "pattern")), pipelines)
            case "burst":
                generator.burst(int(command["orders"]), _pipelines(command))
            case "mix":
                generator.orders.mix = replace(
                    generator.orders.mix, **_fields_of(command, OrderMix, "drinks", "stores")
                )
            case "stop":
                generator.stop()
            case other:
                raise CommandError(f"{other!r} is no command of the load process")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise CommandError(f"not a command: {line.strip()[:200]} ({error})") from error


def _pipelines(command: dict[str, Any]) -> list[Pipeline]:
    return [pipeline_named(name) for name in command.pop("pipelines")]


def _fields_of(command: dict[str, Any], kind: type[Shape] | type[OrderMix], *unchanged: str) -> dict[str, Any]:
    """Return a command's fields of a dataclass, as numbers but for the ``unchanged``. Raises ValueError."""
    if unknown := command.keys() - {field.name for field in fields(kind)}:
        raise ValueError(f"{min(unknown)!r} is unknown")
    return {name: value if name in unchanged else float(value) for name, value in command.items()}


async def serve(api_url: str) -> None:
    """Execute standard input until it ends, then wait for the answers to what was sent."""
    lines = StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: StreamReaderProtocol(lines), sys.stdin)
    latest = LatestAnswers()
    async with (
        Sender(api_url, authorization=Settings.attach().authorization) as sender,
        Generator(sender, RandomOrders(), on_answer=latest.note) as generator,
    ):
        reports = asyncio.create_task(_report(generator, latest))
        try:
            await _execute_all(generator, lines, reports)
        finally:
            reports.cancel()
            await asyncio.wait({reports})


async def _execute_all(generator: Generator, lines: StreamReader, reports: "asyncio.Task[None]") -> None:
    while True:
        line = asyncio.ensure_future(lines.readline())
        await asyncio.wait({line, reports}, return_when=asyncio.FIRST_COMPLETED)
        if reports.done():
            line.cancel()
            return reports.result()
        if not line.result():
            return None
        execute(generator, line.result().decode())


async def _report(generator: Generator, latest: LatestAnswers) -> None:
    last: LoadReport | None = None
    while True:
        report = generator.report(latest.drain())
        if report != last:
            sys.stdout.write(report.to_json() + "\n")
            sys.stdout.flush()
            last = report
        await asyncio.sleep(_REPORT_EVERY_S)


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
