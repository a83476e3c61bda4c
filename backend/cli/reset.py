"""``coffee reset``."""

import click

from coffee_core.settings import Settings


@click.command("reset")
@click.option("--yes", is_flag=True, help="Do not ask.")
def command(*, yes: bool) -> None:
    """Delete every order, total, checkpoint and log of COFFEE_HOME. The fetched jars stay in the user's cache."""
    from backend.stack.down import require_down
    from backend.stack.wipe import present, wipe

    home = Settings.from_env().home
    require_down(home)
    folders = present(home)
    if not folders:
        click.echo(f"nothing to delete in {home}")
        return
    if not yes:
        names = ", ".join(folder.name for folder in folders)
        click.confirm(f"delete {names} in {home}, with every order in them?", abort=True)
    wipe(home)
    click.echo(f"{home} is empty")
