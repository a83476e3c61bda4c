"""``coffee reconcile``."""

import asyncio
import json
from dataclasses import asdict

import click

from backend.cli.main import FAILED, NOT_RUNNING
from coffee_core.money import from_cents
from coffee_core.pipelines import Pipeline
from coffee_core.settings import Settings


@click.command("reconcile")
@click.argument("pipeline", type=click.Choice([each.value for each in Pipeline]))
@click.option("--json", "as_json", is_flag=True, help="{pipeline, orders, revenue_cents, fields, mended, advice}.")
@click.pass_context
def command(ctx: click.Context, pipeline: str, *, as_json: bool) -> None:
    """Bring the metrics back to what PostgreSQL holds and print what was off; orders keep flowing meanwhile.

    v1 runs the aggregator once; v2 takes a cut and adds the difference; v3 compares, and says how to mend.
    Exit code 0: the metrics are right now; 1: v3 has drifted, or nothing could be done; 3: a server cannot be
    reached.
    """
    from backend.lab.reconcile import reconcile
    from backend.lab.servers import UnreachableError

    try:
        done = asyncio.run(reconcile(Settings.attach(), Pipeline(pipeline)))
    except UnreachableError as error:
        click.echo(f"coffee: {error}", err=True)
        ctx.exit(NOT_RUNNING)
    if as_json:
        click.echo(json.dumps(asdict(done), indent=2))
    elif not done.drifted:
        click.echo(f"{pipeline}: nothing was off")
    else:
        verb = "mended" if done.mended else "adrift"
        click.echo(f"{pipeline}: {verb} by {done.orders:+,} orders, {from_cents(done.revenue_cents)}")
        for name, by in done.fields.items():
            click.echo(f"    {name:<28} {by:+,}" + (" cents" if "revenue" in name else ""))
    if not done.mended:
        click.echo(f"coffee: {pipeline} has drifted: {done.advice}", err=True)
    ctx.exit(0 if done.mended else FAILED)
