"""``coffee replay``."""

import asyncio
import json
import sys
import time
from dataclasses import asdict
from typing import Self

import click

from backend.cli.main import NOT_RUNNING
from coffee_core.money import from_cents
from coffee_core.pipelines import Pipeline
from coffee_core.settings import Settings

_LINE_EVERY_S = 5.0


class Progress:
    """One line on stderr, drawn over again on a terminal, for the length of a block."""

    def __init__(self, pipeline: str) -> None:
        self._pipeline = pipeline
        self._terminal = sys.stderr.isatty()
        self._told_at = float("-inf")
        self._told = ""

    def tell(self, done: int, total: int) -> None:
        """Show how far it is."""
        line = f"{self._pipeline}: {done:,} of {total:,}"
        due = self._terminal or done >= total or time.monotonic() - self._told_at >= _LINE_EVERY_S
        if line == self._told or not due:
            return
        self._told, self._told_at = line, time.monotonic()
        click.echo(f"\r\x1b[K{line}" if self._terminal else line, nl=not self._terminal, err=True)

    def __enter__(self) -> Self:
        """Say nothing yet."""
        return self

    def __exit__(self, *_: object) -> None:
        """Leave the line."""
        if self._terminal and self._told:
            click.echo("", err=True)


@click.command("replay")
@click.argument("pipeline", type=click.Choice([Pipeline.V2.value, Pipeline.V3.value]))
@click.option("--json", "as_json", is_flag=True, help="v2: {entries, consumers, …}; v3: {epoch, orders, …}.")
@click.pass_context
def command(ctx: click.Context, pipeline: str, *, as_json: bool) -> None:
    """Go through the log again and end on the same numbers; orders may keep flowing.

    v3 counts the whole topic into empty state: the dashboard starts at 0, and this ends when its totals are those
    of the rows again. v2 takes over at once what dead workers have left pending. Exit code 0: done; 1: the numbers
    do not meet, or nothing moves; 3: a server cannot be reached.
    """
    from backend.lab.servers import UnreachableError

    try:
        with Progress(pipeline) as progress:
            said, result = asyncio.run(_replay(Settings.attach(), Pipeline(pipeline), progress))
    except UnreachableError as error:
        click.echo(f"coffee: {error}", err=True)
        ctx.exit(NOT_RUNNING)
    click.echo(json.dumps(result, indent=2) if as_json else said)


async def _replay(settings: Settings, pipeline: Pipeline, progress: Progress) -> tuple[str, dict[str, object]]:
    """Return what to say and the same as JSON."""
    if pipeline is Pipeline.V2:
        from backend.lab.replay_v2 import replay_v2

        taken = await replay_v2(settings, progress.tell)
        whose = ", ".join(f"{count:,} of {name}" for name, count in taken.consumers.items())
        said = f"v2: {taken.entries:,} pending entries taken over" + (f" ({whose})" if whose else "")
        return f"{said} in {taken.seconds} s", asdict(taken)
    from backend.lab.replay_v3 import replay_v3

    done = await replay_v3(settings, progress.tell)
    said = f"v3: {done.records:,} records replayed in {done.seconds} s, now in epoch {done.epoch}:"
    return f"{said} {done.orders:,} orders, {from_cents(done.revenue_cents)}, the same as the rows", asdict(done)
