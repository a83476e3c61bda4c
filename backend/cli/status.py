"""``coffee status``."""

import json
from dataclasses import asdict

import click

from backend.cli.main import FAILED, NOT_RUNNING
from coffee_core.clock import now_us
from coffee_core.runstate import PartState, State, read_states
from coffee_core.settings import Settings

_GOOD = (State.UP, State.EXTERNAL)


@click.command("status")
@click.option("--json", "as_json", is_flag=True, help="A list of {name, pid, port, state, detail, …}.")
@click.pass_context
def command(ctx: click.Context, *, as_json: bool) -> None:
    """List the parts. Exit code 0: all are up; 1: some are not; 3: no stack runs here."""
    home = Settings.attach().home
    parts = read_states(home)
    if as_json:
        click.echo(json.dumps([asdict(part) for part in parts], indent=2))
    else:
        for part in parts:
            click.echo(_line(part))
    if all(part.state is State.STOPPED for part in parts):
        click.echo(f"coffee: no stack runs in {home}: start it with `coffee up`", err=True)
        ctx.exit(NOT_RUNNING)
    ctx.exit(0 if all(part.state in _GOOD for part in parts) else FAILED)


def _line(part: PartState) -> str:
    seconds = (now_us() - part.since_us) // 1_000_000
    restarts = f"restarted {part.restarts}×" if part.restarts else ""
    return (
        f"{part.name:<22} {part.state:<9} {seconds:>7} s  pid {part.pid or '–':<8} port {part.port or '–':<6} "
        + ("  ".join(filter(None, (restarts, part.detail))))
    )
