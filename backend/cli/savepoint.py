"""``coffee savepoint``."""

import asyncio
import json
from dataclasses import asdict

import click

from backend.cli.main import NOT_RUNNING
from coffee_core.settings import Settings


@click.command("savepoint")
@click.option("--stop", is_flag=True, help="End the job with it; the submitter begins another one there.")
@click.option("--json", "as_json", is_flag=True, help="{uri, job, stopped, seconds}.")
@click.pass_context
def command(ctx: click.Context, *, stop: bool, as_json: bool) -> None:
    """Save the whole state of v3's job, for a copy or, with --stop, to change the job: its code, its parallelism.

    A job that was stopped is begun again from there by flink-job, with the code and settings that it runs with: at
    once, or when it is started. Exit code 0: done; 1: Flink could not, the job runs on; 3: a server cannot be
    reached.
    """
    from backend.lab.savepoint import take_savepoint
    from backend.lab.servers import UnreachableError

    try:
        taken = asyncio.run(take_savepoint(Settings.attach(), stop=stop))
    except UnreachableError as error:
        click.echo(f"coffee: {error}", err=True)
        ctx.exit(NOT_RUNNING)
    if as_json:
        click.echo(json.dumps(asdict(taken), indent=2))
    else:
        click.echo(f"v3: {'stopped with ' if stop else ''}savepoint {taken.uri} in {taken.seconds} s")
