"""``coffee reconcile``, ``replay``, ``savepoint`` and ``dead-letters``: what brings a pipeline back in step."""

import asyncio
import json
import re
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any, Self

import click

from backend.cli.main import FAILED, NOT_RUNNING
from coffee_core.clock import MAX_TIME_US, to_datetime
from coffee_core.money import from_cents
from coffee_core.pipelines import PIPELINES, Pipeline, Repair, pipeline_named
from coffee_core.settings import Settings

if TYPE_CHECKING:
    from backend.pipelines.dead_letters import Letter
    from backend.pipelines.repair import Mended

_LINE_EVERY_S = 5.0
_SETTLE_S = 5.0
"""Seconds for which a difference is checked again before it is reported."""


def _offering(repair: Repair) -> list[Pipeline]:
    return [pipeline for pipeline in PIPELINES if repair in pipeline.info.repairs]


class Progress:
    """One line on stderr, drawn over again on a terminal, for the length of a block."""

    def __init__(self, pipeline: str) -> None:
        self._pipeline = pipeline
        self._terminal = sys.stderr.isatty()
        self._printed_at = float("-inf")
        self._printed = ""

    def show(self, done: int, total: int) -> None:
        """Print how far it is, where that has changed and a line is due."""
        line = f"{self._pipeline}: {done:,} of {total:,}"
        due = self._terminal or done >= total or time.monotonic() - self._printed_at >= _LINE_EVERY_S
        if line == self._printed or not due:
            return
        self._printed, self._printed_at = line, time.monotonic()
        click.echo(f"\r\x1b[K{line}" if self._terminal else line, nl=not self._terminal, err=True)

    def __enter__(self) -> Self:
        """Print nothing yet."""
        return self

    def __exit__(self, *_: object) -> None:
        """End the line on a terminal."""
        if self._terminal and self._printed:
            click.echo("", err=True)


@click.command("replay")
@click.argument("pipeline", type=click.Choice(_offering(Repair.REPLAY)))
@click.option(
    "--json", "as_json", is_flag=True, help="v2: {entries, consumers, stuck, …}; v3: {epoch, orders, …}."
)
@click.pass_context
def replay_command(ctx: click.Context, pipeline: str, *, as_json: bool) -> None:
    """Go through the log again and end on the same numbers; orders may keep flowing.

    v3 and v4 count the whole topic into empty state: the dashboard starts at 0, and this ends when the totals are
    those of the rows again. v2 takes over at once what dead workers have left pending, and what is pending
    nowhere. Exit code 0: done; 1: the numbers do not meet, or nothing moves; 3: a server cannot be reached.
    """
    from backend.clients.servers import UnreachableError
    from backend.pipelines.operations import operations_of

    try:
        with Progress(pipeline) as progress:
            operations = operations_of(pipeline_named(pipeline))
            done = asyncio.run(operations.replay(Settings.attach(), progress.show))
    except UnreachableError as error:
        click.echo(f"coffee: {error}", err=True)
        ctx.exit(NOT_RUNNING)
    click.echo(json.dumps(done.as_json(), indent=2) if as_json else done.summary)


@click.command("reconcile")
@click.argument("pipeline", type=click.Choice(_offering(Repair.RECONCILE)))
@click.option(
    "--new-balance", is_flag=True, help="v2, whose log was lost: balance it from the rows there are, and say so."
)
@click.option("--compare", is_flag=True, help="v3: say what is off, and leave it.")
@click.option(
    "--json", "as_json", is_flag=True, help="{pipeline, orders, revenue_cents, fields, mended, advice, …}."
)
@click.pass_context
def reconcile_command(
    ctx: click.Context, pipeline: str, *, new_balance: bool, compare: bool, as_json: bool
) -> None:
    """Bring the metrics back to what PostgreSQL holds and print what was off; orders keep flowing meanwhile.

    v1 runs the aggregator once; v2 and v4 take a cut and add the difference; v5 counts its rows anew; v3 compares,
    and where it has drifted it replays: its truth is Flink's state. Exit code 0: the metrics are right now; 1: v3
    has drifted and was to be compared alone, or nothing could be done; 3: a server cannot be reached.
    """
    from backend.clients.servers import UnreachableError

    repairs = pipeline_named(pipeline).info.repairs
    if new_balance and Repair.NEW_BALANCE not in repairs:
        raise click.UsageError("--new-balance is for v2: the log of v3 is Kafka's, v1 has none")
    if compare and Repair.COMPARE not in repairs:
        raise click.UsageError("--compare is for v3; `coffee audit` compares them all")
    try:
        done, written_off = asyncio.run(_do(Settings.attach(), pipeline_named(pipeline), new_balance, compare))
    except UnreachableError as error:
        click.echo(f"coffee: {error}", err=True)
        ctx.exit(NOT_RUNNING)
    if as_json:
        click.echo(json.dumps(asdict(done) | {"written_off": written_off}, indent=2))
    elif not done.drifted:
        click.echo(f"{pipeline}: nothing was off")
    else:
        verb = "mended" if done.mended else "adrift"
        click.echo(f"{pipeline}: {verb} by {done.orders:+,} orders, {from_cents(done.revenue_cents)}")
        for name, by in done.fields.items():
            click.echo(f"    {name:<28} {by:+,}" + (" cents" if "revenue" in name else ""))
    if written_off and not as_json:
        click.echo(f"{pipeline}: a new balance begins with {written_off:,} stored orders of the log that was lost")
    if not done.mended:
        click.echo(f"coffee: {pipeline} has drifted: {done.advice}", err=True)
    ctx.exit(0 if done.mended else FAILED)


async def _do(settings: Settings, pipeline: Pipeline, new_balance: bool, compare: bool) -> "tuple[Mended, int]":
    """Return what was mended, and the orders with which a new balance begins."""
    from backend.pipelines.operations import operations_of

    operations = operations_of(pipeline)
    mended = await operations.reconcile(settings, _SETTLE_S)
    if not mended.mended and not compare:
        with Progress(pipeline) as progress:
            await operations.replay(settings, progress.show)
        mended = replace(mended, mended=True, advice="")
    return mended, await operations.begin_new_balance(settings) if new_balance else 0


@click.command("savepoint")
@click.option("--stop", is_flag=True, help="End the job with it; the submitter begins another one there.")
@click.option("--json", "as_json", is_flag=True, help="{uri, job, stopped, seconds}.")
@click.pass_context
def savepoint_command(ctx: click.Context, *, stop: bool, as_json: bool) -> None:
    """Save the whole state of v3's job, for a copy or, with --stop, to change the job: its code, its parallelism.

    A job that was stopped is begun again from there by flink-job, with the code and settings that it runs with: at
    once, or when it is started. Exit code 0: done; 1: Flink could not, the job runs on; 3: a server cannot be
    reached.
    """
    from backend.clients.servers import UnreachableError
    from backend.pipelines.operations import operations_of

    (pipeline,) = _offering(Repair.SAVEPOINT)  # the only one whose processor keeps state
    try:
        taken = asyncio.run(operations_of(pipeline).take_savepoint(Settings.attach(), stop=stop))
    except UnreachableError as error:
        click.echo(f"coffee: {error}", err=True)
        ctx.exit(NOT_RUNNING)
    if as_json:
        click.echo(json.dumps(asdict(taken), indent=2))
    else:
        click.echo(f"{pipeline}: {'stopped with ' if stop else ''}savepoint {taken.uri} in {taken.seconds} s")


def _repairs(_ctx: click.Context, _option: click.Parameter, pairs: Sequence[str]) -> dict[str, str]:
    repairs = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not name or not equals:
            raise click.BadParameter(f"{pair!r} must be NAME=VALUE, e.g. price_cents=500")
        repairs[name] = value
    return repairs


@click.command("dead-letters")
@click.argument("pipeline", type=click.Choice(_offering(Repair.DEAD_LETTERS)))
@click.argument("ids", nargs=-1, metavar="[ID]…")
@click.option("--requeue", is_flag=True, help="Put them back on the log: all, or those named.")
@click.option("--drop", is_flag=True, help="Deal with them for good: all, or those named.")
@click.option(
    "--set",
    "repairs",
    multiple=True,
    metavar="NAME=VALUE",
    callback=_repairs,
    help="Repair a field on its way.",
)
@click.option("--json", "as_json", is_flag=True, help="A list of {id, origin, reason, detail, …}.")
@click.pass_context
def dead_letters_command(
    ctx: click.Context,
    pipeline: str,
    ids: tuple[str, ...],
    *,
    requeue: bool,
    drop: bool,
    repairs: dict[str, str],
    as_json: bool,
) -> None:
    """List what could not be stored, with reason and origin; after a fix --requeue it, or --drop it.

    A letter goes back with its own message id, unless that belongs to another order or is none: then with one made
    from its place on the log, so that requeueing twice is one order. Exit code 0: done; 1: some letter could not
    go back, or is not there; 3: a server cannot be reached.
    """
    from backend.clients.servers import UnreachableError
    from backend.pipelines.dead_letters import KEPT, LetterError
    from backend.pipelines.operations import operations_of

    if repairs and not requeue:
        raise click.UsageError("--set goes with --requeue")
    if requeue and drop:
        raise click.UsageError("either --requeue or --drop")
    action = "requeue" if requeue else "drop" if drop else None
    try:
        operations = operations_of(pipeline_named(pipeline))
        done = asyncio.run(operations.settle_dead_letters(Settings.attach(), ids, action, repairs))
    except UnreachableError as error:
        click.echo(f"coffee: {error}", err=True)
        ctx.exit(NOT_RUNNING)
    except LetterError as error:
        click.echo(f"coffee: {error}", err=True)
        ctx.exit(FAILED)
    if as_json:
        click.echo(json.dumps([_as_json(letter, outcome) for letter, outcome in done], indent=2))
    else:
        click.echo("\n".join(_line(letter, outcome) for letter, outcome in done) or f"{pipeline}: no dead letters")
    ctx.exit(FAILED if any(outcome.startswith(KEPT) for _, outcome in done) else 0)


_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")


def _line(letter: "Letter", outcome: str) -> str:
    # An id that somebody else has chosen need not be a time.
    dated = letter.time_us <= MAX_TIME_US
    when = to_datetime(letter.time_us).strftime("%Y-%m-%d %H:%M:%SZ") if dated else "at no time"
    what = json.dumps(letter.fields) if letter.fields else json.dumps(letter.text)
    why = f"{letter.reason}: {letter.detail}" if letter.detail else letter.reason
    line = f"{letter.id}  {when}  from {letter.origin}  {why}  {what[:200]}" + (
        f"  → {outcome}" if outcome else ""
    )
    # Somebody else has written it: nothing in it may move the cursor or end the line.
    return _CONTROL.sub(lambda match: ascii(match[0])[1:-1], line)


def _as_json(letter: "Letter", outcome: str) -> Mapping[str, Any]:
    return {
        "id": letter.id,
        "origin": letter.origin,
        "reason": letter.reason,
        "detail": letter.detail,
        "time_us": letter.time_us,
        "fields": dict(letter.fields),
        "text": letter.text,
        "outcome": outcome,
    }
