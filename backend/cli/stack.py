"""``coffee up``, ``down``, ``status``, ``env``, ``doctor``, ``reset`` and ``run``: the stack and its parts."""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import click

from backend.cli.main import FAILED, NOT_RUNNING
from coffee_core.clock import now_us
from coffee_core.durability import Durability, read_durability
from coffee_core.pipelines import Pipeline, is_part
from coffee_core.runstate import PartState, State, read_env, read_states
from coffee_core.settings import Settings
from coffee_core.standstill import Standstill

_GOOD = (State.UP, State.EXTERNAL)


@click.command("up")
@click.option(
    "--headless", is_flag=True, help="No dashboard: print a line for each change. Ctrl-C ends everything."
)
@click.option("--pipelines", metavar="v1,v2,…", help="Pipelines to run; all; +v4: besides the usual ones.")
@click.option("--network-lab", is_flag=True, help="A relay on every link between two parts, to break them.")
@click.option("--timings", is_flag=True, help="As --headless, with a chart of what waited for what.")
@click.option(
    "--json", "as_json", is_flag=True, help="--timings: a list of {part, phase, begin_s, end_s, detail}."
)
@click.pass_context
def up_command(
    ctx: click.Context, *, headless: bool, pipelines: str | None, network_lab: bool, timings: bool, as_json: bool
) -> None:
    """Start everything, open the dashboard in this terminal, and stop everything when it is left."""
    if as_json and not timings:
        raise click.UsageError("--json is for --timings")
    chosen = {} if pipelines is None else {"COFFEE_PIPELINES": pipelines}
    if network_lab:
        chosen["COFFEE_NETWORK_LAB"] = "yes"
    settings = Settings.from_env({**os.environ, **chosen})
    if headless or timings:
        from backend.stack.supervisor import Timings, supervise

        supervise(settings, timings=Timings("json" if as_json else "chart") if timings else None)
    from backend.stack.up import up

    ctx.exit(up(settings))


@click.command("down")
def down_command() -> None:
    """Stop what runs in COFFEE_HOME, however it was started, and wait until it has gone."""
    from backend.stack.down import down

    home = Settings.from_env().home
    stopped = down(home)
    click.echo("everything has stopped" if stopped else f"nothing runs in {home}")


@click.command("status")
@click.option(
    "--json",
    "as_json",
    is_flag=True,
    help="A list of {name, pid, port, state, detail, …, standstill, durability}.",
)
@click.pass_context
def status_command(ctx: click.Context, *, as_json: bool) -> None:
    """List the parts, and what keeps accepted orders waiting.

    Exit code 0: all are up; 1: some are not, or orders wait and nobody works on them; 3: no stack runs here.
    """
    from backend.stack.standstills import line, standstills

    settings = Settings.attach()
    home = settings.home
    parts = read_states(home)
    runs = any(part.state is not State.STOPPED for part in parts)
    standing = standstills(settings) if runs else {}
    durability = read_durability(home) if runs else Durability()
    if as_json:
        click.echo(json.dumps(_as_json(parts, standing, durability), indent=2))
    else:
        for part in parts:
            click.echo(_line(part))
        if dial := durability.line():
            click.echo(dial)
        for pipeline, standstill in standing.items():
            click.echo(line(pipeline, standstill))
    if not runs:
        click.echo(f"coffee: no stack runs in {home}: start it with `coffee up`", err=True)
        ctx.exit(NOT_RUNNING)
    ctx.exit(0 if all(part.state in _GOOD for part in parts) and not standing else FAILED)


def _as_json(
    parts: Sequence[PartState], standing: Mapping[Pipeline, Standstill], durability: Durability
) -> list[dict[str, Any]]:
    """Return the parts; each standstill stands with the part that should work on the orders.

    An embedded server has its notch of the durability dial and what that sets.
    """
    dialled = {name: {"notch": durability.notch, **chosen} for name, chosen in durability.servers.items()}
    found: list[dict[str, Any]] = [
        {**asdict(part), "standstill": None, "durability": dialled.get(part.name)} for part in parts
    ]
    for pipeline, standstill in standing.items():
        processor = pipeline.info.processor
        of = next((part for part in found if processor and is_part(part["name"], (processor,))), None)
        # Its processor may run elsewhere, or be another pipeline's, too: no standstill goes unsaid.
        if of is None or of["standstill"] is not None:
            of = next((part for part in found if part["standstill"] is None), found[0])
        of["standstill"] = {"pipeline": pipeline, **asdict(standstill)}
    return found


def _line(part: PartState) -> str:
    seconds = (now_us() - part.since_us) // 1_000_000
    restarts = f"restarted {part.restarts}×" if part.restarts else ""
    return (
        f"{part.name:<22} {part.state:<9} {seconds:>7} s  pid {part.pid or '–':<8} port {part.port or '–':<6} "
        + ("  ".join(filter(None, (restarts, part.detail))))
    )


@click.command("env")
@click.pass_context
def env_command(ctx: click.Context) -> None:
    """Print the addresses of the running stack, for `eval`, `.env` files and other tools."""
    from backend.stack import locks
    from backend.stack.parts import served_addresses

    settings = Settings.attach()
    if not locks.holders(settings.home):
        click.echo(f"coffee: no stack runs in {settings.home}: start it with `coffee up`", err=True)
        ctx.exit(NOT_RUNNING)
    published = read_env(settings.home)
    # Not what no part of this stack serves: somebody else's server may have the address.
    for key, address in served_addresses(settings).items():
        click.echo(f"{key}={published.get(key, address)}")


@click.command("doctor")
@click.option("--json", "as_json", is_flag=True, help="A list of {name, ok, detail}.")
@click.pass_context
def doctor_command(ctx: click.Context, *, as_json: bool) -> None:
    """Check Python, the servers' programs, disk and ports. Exit code 1 where something is missing."""
    from backend.stack.doctor import checkup

    checks = checkup(Settings.from_env())
    if as_json:
        click.echo(json.dumps([asdict(check) for check in checks], indent=2))
    else:
        for check in checks:
            click.echo(f"{'ok     ' if check.ok else 'MISSING'}  {check.name:<16} {check.detail}")
    ctx.exit(0 if all(check.ok for check in checks) else FAILED)


@click.command("reset")
@click.option("--yes", is_flag=True, help="Do not ask.")
def reset_command(*, yes: bool) -> None:
    """Delete every order, total, checkpoint and log of COFFEE_HOME. The fetched jars stay in the user's cache."""
    from backend.stack.down import data_folders, require_down, wipe

    home = Settings.from_env().home
    require_down(home)
    folders = data_folders(home)
    if not folders:
        click.echo(f"nothing to delete in {home}")
        return
    if not yes:
        names = ", ".join(folder.name for folder in folders)
        click.confirm(f"delete {names} in {home}, with every order in them?", abort=True)
    wipe(home)
    click.echo(f"{home} is empty")


@click.command("run")
@click.argument("name")
def run_command(name: str) -> None:
    """Keep one part running until it is told to end; NAME as in the Procfile, e.g. stream-worker."""
    from backend.stack.run import run

    run(name)
