"""``coffee reconcile``."""

import asyncio
import json
from dataclasses import asdict, replace
from typing import TYPE_CHECKING

import click

from backend.cli.main import FAILED, NOT_RUNNING
from backend.cli.replay import Progress
from coffee_core.money import from_cents
from coffee_core.pipelines import Pipeline
from coffee_core.settings import Settings

if TYPE_CHECKING:
    from backend.lab.reconcile import Mended


@click.command("reconcile")
@click.argument("pipeline", type=click.Choice([each.value for each in Pipeline]))
@click.option(
    "--new-balance", is_flag=True, help="v2, whose log was lost: balance it from the rows there are, and say so."
)
@click.option("--compare", is_flag=True, help="v3: say what is off, and leave it.")
@click.option(
    "--json", "as_json", is_flag=True, help="{pipeline, orders, revenue_cents, fields, mended, advice, …}."
)
@click.pass_context
def command(ctx: click.Context, pipeline: str, *, new_balance: bool, compare: bool, as_json: bool) -> None:
    """Bring the metrics back to what PostgreSQL holds and print what was off; orders keep flowing meanwhile.

    v1 runs the aggregator once; v2 takes a cut and adds the difference; v3 compares, and where it has drifted it
    replays: its truth is Flink's state. Exit code 0: the metrics are right now; 1: v3 has drifted and was to be
    compared alone, or nothing could be done; 3: a server cannot be reached.
    """
    from backend.lab.servers import UnreachableError

    if new_balance and pipeline != Pipeline.V2:
        raise click.UsageError("--new-balance is for v2: the log of v3 is Kafka's, v1 has none")
    if compare and pipeline != Pipeline.V3:
        raise click.UsageError("--compare is for v3; `coffee audit` compares them all")
    try:
        done, written_off = asyncio.run(_do(Settings.attach(), Pipeline(pipeline), new_balance, compare))
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
    from backend.lab.new_balance import begin_new_balance
    from backend.lab.reconcile import reconcile

    mended = await reconcile(settings, pipeline)
    if not mended.mended and not compare:
        from backend.lab.replay_v3 import replay_v3

        with Progress(pipeline) as progress:
            await replay_v3(settings, progress.tell)
        mended = replace(mended, mended=True, advice="")
    return mended, await begin_new_balance(settings) if new_balance else 0
