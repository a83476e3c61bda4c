"""``coffee down``."""

import click

from coffee_core.settings import Settings


@click.command("down")
def command() -> None:
    """Stop what runs in COFFEE_HOME, however it was started, and wait until it has gone."""
    from backend.stack.down import down

    home = Settings.from_env().home
    stopped = down(home)
    click.echo("everything has stopped" if stopped else f"nothing runs in {home}")
