"""``coffee``: finds the command and imports that alone; turns an error into one line and an exit code."""

import importlib
import os
import sys
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, Final, TypeVar

import click

from coffee_core.errors import CoffeeError, ConfigError
from coffee_core.numbers import parse_number, parse_whole_number
from coffee_core.output import protect_output
from coffee_core.pipelines import Pipeline, parse_pipelines

FAILED, MISUSED, NOT_RUNNING = 1, 2, 3
T = TypeVar("T")

COMMANDS = {
    "up": ("stack", "Start everything and open the dashboard (--headless: without it)."),
    "down": ("stack", "Stop what runs, and wait until it has gone."),
    "status": ("stack", "List the parts with pid, port and state."),
    "env": ("stack", "Print the addresses of the running stack as KEY=VALUE lines."),
    "order": ("load", "Send one order into a pipeline, or one into each that runs."),
    "audit": ("audit", "Balance each pipeline: was an order lost, duplicated, or is a total adrift?"),
    "reconcile": ("repair", "Bring the metrics of a pipeline back to what PostgreSQL holds."),
    "replay": ("repair", "Count v3's whole topic anew, or take over what dead workers of v2 have left."),
    "savepoint": ("repair", "Save the state of v3's job; --stop: end the job with it, to upgrade or rescale it."),
    "dead-letters": ("repair", "List, requeue or drop the dead letters of a pipeline with a log."),
    "load": ("load", "Send orders on a schedule, and measure from when each was meant to be sent."),
    "chaos": ("chaos", "Break a part under load and prove that not one order is lost or counted twice."),
    "bench": ("bench", "Measure on this machine how late, how much and at what cost, claims beside measurements."),
    "decide": ("decide", "Ask what is needed, measure that here, and say which pipeline, why and until when."),
    "doctor": ("stack", "Check what this machine has, and say what is missing."),
    "reset": ("stack", "Delete all data, after asking."),
    "run": ("stack", "Keep one part running: a line of the Procfile."),
}
"""Name → the module of ``backend.cli`` that has it, as ``NAME_command``, and what it does."""


def read_pipelines(_ctx: click.Context, _option: click.Parameter, text: str | None) -> tuple[Pipeline, ...] | None:
    """Read the value of an option such as ``--pipelines v1,v3``. Raises click.BadParameter."""
    try:
        return None if text is None else parse_pipelines(text)
    except ValueError as error:
        raise click.BadParameter(str(error)) from error


def announcer() -> Callable[[str], None]:
    """Return what prints a line of progress on standard error, with the seconds since now."""
    started = time.monotonic()

    def announce(text: str) -> None:
        click.echo(f"{time.monotonic() - started:6.1f} s  {text}", err=True)

    return announce


def run_quickly(work: Coroutine[Any, Any, T]) -> T:
    """Run this to its end on uvloop: what measures must cost little itself."""
    import asyncio

    import uvloop

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(work)


class Number(click.ParamType[float]):
    """A decimal number within bounds."""

    name = "number"

    def __init__(self, low: float, high: float) -> None:
        self._low, self._high = low, high

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Read what was typed. Raises click.BadParameter."""
        try:
            return parse_number(str(value), self._low, self._high)
        except ValueError as error:
            self.fail(f"{value!r} {error}", param, ctx)


class Length(click.ParamType[float]):
    """A length of time within bounds: seconds, or as ``90s``, ``15m`` or ``2h``; the value is seconds."""

    name = "length"
    _UNITS_S: Final = {"s": 1.0, "m": 60.0, "h": 3_600.0}

    def __init__(self, low_s: float, high_s: float) -> None:
        self._low_s, self._high_s = low_s, high_s

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Read what was typed. Raises click.BadParameter."""
        text = str(value)
        unit_s = self._UNITS_S.get(text[-1:])
        number = text if unit_s is None else text[:-1]
        try:
            seconds = parse_number(number, 0, self._high_s) * (unit_s or 1.0)
        except ValueError:
            seconds = -1.0
        if not self._low_s <= seconds <= self._high_s:
            bounds = f"must be a number from {self._low_s:,g} to {self._high_s:,g}, of seconds"
            self.fail(f"{text!r} {bounds}, or a length as 90s, 15m or 2h within them", param, ctx)
        return seconds


class WholeNumber(click.ParamType[int]):
    """A whole number within bounds."""

    name = "integer"

    def __init__(self, low: int, high: int) -> None:
        self._low, self._high = low, high

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Read what was typed. Raises click.BadParameter."""
        try:
            return parse_whole_number(str(value), self._low, self._high)
        except ValueError as error:
            self.fail(f"{value!r} {error}", param, ctx)


class OutFile(click.ParamType[Path]):
    """A file that can be written: what takes minutes to make must not be refused at its end."""

    name = "file"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        """Read a path. Raises click.BadParameter where no file can be written there."""
        path = Path(str(value))
        if path.is_dir():
            self.fail(f"{path} is a folder", param, ctx)
        if not path.parent.is_dir() or not os.access(path if path.exists() else path.parent, os.W_OK):
            self.fail(f"{path} cannot be written: is there the folder {path.parent.absolute()}?", param, ctx)
        return path


class LazyGroup(click.Group):
    """A group whose commands are imported when they are called."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        """Return the names in the order of use."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Import one command."""
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"backend.cli.{COMMANDS[cmd_name][0]}")
        command: click.Command = getattr(module, f"{cmd_name.replace('-', '_')}_command")
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """Write the list of commands without importing any."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, does) for name, (_, does) in COMMANDS.items()])


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="coffee-rt")
def coffee() -> None:
    """Ways to take an order, run for real on this machine and compared live.

    Settings come from the environment (COFFEE_HOME, COFFEE_API_PORT, DATABASE_URL, …): see docs/settings.md.

    Exit codes: 0 done · 1 failed, the reason is on stderr · 2 a wrong option or setting · 3 no stack runs there.
    """


def main() -> None:
    """Run the command line and leave with its exit code."""
    output = protect_output()
    sys.exit(output.finish("coffee", _run()))


def _run() -> int:
    try:
        code = coffee.main(prog_name="coffee", standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        code = error.exit_code
    except click.ClickException as error:
        ctx = getattr(error, "ctx", None)
        where = f": see `{ctx.command_path} --help`" if ctx is not None else ""
        click.echo(f"coffee: {' '.join(error.format_message().split()).rstrip('.')}{where}", err=True)
        code = error.exit_code
    except click.Abort:
        click.echo("aborted", err=True)
        code = FAILED
    except CoffeeError as error:
        click.echo(f"coffee: {error}", err=True)
        code = MISUSED if isinstance(error, ConfigError) else FAILED
    except OSError as error:  # a full disk, or a home of another account
        what = f"{error.strerror}: {error.filename}" if error.strerror and error.filename else str(error)
        click.echo(f"coffee: {what}", err=True)
        code = FAILED
    except SystemExit as error:
        # An argument, not an exit code, is a line: Python's own convention.
        if error.code is None or isinstance(error.code, int):
            return error.code or 0
        click.echo(error.code, err=True)
        return FAILED
    return code if isinstance(code, int) else 0
