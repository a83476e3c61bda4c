"""``coffee env``."""

import click

from backend.cli.main import NOT_RUNNING
from coffee_core.runstate import read_env
from coffee_core.settings import Settings


@click.command("env")
@click.pass_context
def command(ctx: click.Context) -> None:
    """Print the addresses of the running stack, for `eval`, `.env` files and other tools."""
    from backend.stack import lock

    settings = Settings.attach()
    if not lock.holders(settings.home):
        click.echo(f"coffee: no stack runs in {settings.home}: start it with `coffee up`", err=True)
        ctx.exit(NOT_RUNNING)
    published = read_env(settings.home)
    for key in settings.addresses:
        click.echo(f"{key}={published.get(key, settings.addresses[key])}")
