"""``coffee doctor``."""

import json
from dataclasses import asdict

import click

from backend.cli.main import FAILED
from coffee_core.settings import Settings


@click.command("doctor")
@click.option("--json", "as_json", is_flag=True, help="A list of {name, ok, detail}.")
@click.pass_context
def command(ctx: click.Context, *, as_json: bool) -> None:
    """Check Python, the servers' programs, disk and ports. Exit code 1 where something is missing."""
    from backend.stack.checkup import checkup

    checks = checkup(Settings.from_env())
    if as_json:
        click.echo(json.dumps([asdict(check) for check in checks], indent=2))
    else:
        for check in checks:
            click.echo(f"{'ok     ' if check.ok else 'MISSING'}  {check.name:<16} {check.detail}")
    ctx.exit(0 if all(check.ok for check in checks) else FAILED)
