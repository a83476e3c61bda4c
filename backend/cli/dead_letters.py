"""``coffee dead-letters``."""

import asyncio
import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from backend.cli.main import FAILED, NOT_RUNNING
from coffee_core.clock import to_datetime
from coffee_core.pipelines import Pipeline
from coffee_core.settings import Settings

if TYPE_CHECKING:
    from backend.lab.dead_letters import Letter


def _repairs(_ctx: click.Context, _option: click.Parameter, pairs: Sequence[str]) -> dict[str, str]:
    repairs = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not name or not equals:
            raise click.BadParameter(f"{pair!r} must be NAME=VALUE, e.g. price_cents=500")
        repairs[name] = value
    return repairs


@click.command("dead-letters")
@click.argument("pipeline", type=click.Choice([Pipeline.V2.value, Pipeline.V3.value]))
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
def command(
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
    from backend.lab.dead_letters import KEPT, LetterError
    from backend.lab.dead_letters_box import deal_with
    from backend.lab.servers import UnreachableError

    if repairs and not requeue:
        raise click.UsageError("--set goes with --requeue")
    if requeue and drop:
        raise click.UsageError("either --requeue or --drop")
    action = "requeue" if requeue else "drop" if drop else None
    try:
        done = asyncio.run(deal_with(Settings.attach(), Pipeline(pipeline), ids, action, repairs))
    except UnreachableError as error:
        click.echo(f"coffee: {error}", err=True)
        ctx.exit(NOT_RUNNING)
    except LetterError as error:
        click.echo(f"coffee: {error}", err=True)
        ctx.exit(FAILED)
    if as_json:
        click.echo(json.dumps([_as_json(letter, outcome) for letter, outcome in done], indent=2))
    else:
        click.echo("\n".join(_line(*each) for each in done) or f"{pipeline}: no dead letters")
    ctx.exit(FAILED if any(outcome.startswith(KEPT) for _, outcome in done) else 0)


def _line(letter: "Letter", outcome: str) -> str:
    when = to_datetime(letter.time_us).strftime("%Y-%m-%d %H:%M:%SZ")
    what = json.dumps(letter.fields) if letter.fields else json.dumps(letter.text)
    why = f"{letter.reason}: {letter.detail}" if letter.detail else letter.reason
    said = f"{letter.id}  {when}  from {letter.origin}  {why}  {what[:200]}" + (
        f"  → {outcome}" if outcome else ""
    )
    return said.encode("utf-8", "backslashreplace").decode("utf-8")


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
