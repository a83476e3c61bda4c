"""``coffee audit``."""

import asyncio
import json
from dataclasses import replace

import click

from backend.cli.main import FAILED, NOT_RUNNING, Number, read_pipelines
from coffee_core.durability import Durability, read_durability
from coffee_core.pipelines import Pipeline
from coffee_core.settings import Settings


@click.command("audit")
@click.option("--json", "as_json", is_flag=True, help="{balanced, pipelines: […]}: see docs/audit.md.")
@click.option("--deep", is_flag=True, help="Also compare ids one by one; reads the whole topic of v3.")
@click.option("--pipelines", metavar="v1,v2,…", callback=read_pipelines, help="Default: those that run.")
@click.option(
    "--settle",
    "settle_s",
    type=Number(0, 3_600),
    default=5.0,
    show_default=True,
    help="Seconds for which a difference is looked at again before it is called one.",
)
@click.option(
    "--unique-timestamps",
    is_flag=True,
    help="Every order has a timestamp of its own (coffee load): one order under two ids is a duplicate.",
)
@click.pass_context
def audit_command(
    ctx: click.Context,
    *,
    as_json: bool,
    deep: bool,
    pipelines: tuple[Pipeline, ...] | None,
    settle_s: float,
    unique_timestamps: bool,
) -> None:
    """Balance each pipeline from its own log: accepted, stored, shown, lost, duplicated, drift.

    Exit code 0: all balanced, orders in flight allowed, also such as nobody works on (that is said); 1: something
    is lost, duplicated or adrift; 3: a server cannot be reached.
    """
    from backend.clients.servers import UnreachableError
    from backend.pipelines.audit import audit
    from backend.pipelines.balance import as_json as report
    from backend.pipelines.balance import as_table, summary_line
    from backend.stack.standstills import line, standstills

    settings = Settings.attach()
    try:
        balances = asyncio.run(
            audit(
                settings,
                pipelines or settings.pipelines,
                settle_s=settle_s,
                unique_timestamps=unique_timestamps,
                deep=deep,
            )
        )
    except UnreachableError as error:
        click.echo(f"coffee: {error}", err=True)
        ctx.exit(NOT_RUNNING)
    standing = standstills(settings)
    durability = read_durability(settings.home)
    balances = [
        replace(balance, standstill=standing.get(balance.pipeline)).with_notes(
            *_promises_less(durability, balance.pipeline)
        )
        for balance in balances
    ]
    result = {**report(balances), "durability": durability.label or durability.notch}
    click.echo(json.dumps(result, indent=2) if as_json else "\n".join(as_table(balances)))
    wrong = [balance for balance in balances if not balance.balanced]
    for balance in wrong:
        click.echo(f"coffee: not balanced: {summary_line(balance)}", err=True)
    for balance in balances:
        if balance.standstill is not None:
            click.echo(f"coffee: {line(balance.pipeline, balance.standstill)}", err=True)
    ctx.exit(FAILED if wrong else 0)


def _promises_less(durability: Durability, pipeline: Pipeline) -> tuple[str, ...]:
    """Return, as notes of a balance, what its servers keep less than they do by default."""
    settings = durability.promise_less(pipeline.info.servers)
    if not settings:
        return ()
    what = ", ".join(settings)
    return (f"{what}: an answer here was no promise; what a crash or power cut took may have left no trace here",)
