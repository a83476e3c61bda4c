"""``coffee run NAME``."""

import click


@click.command("run")
@click.argument("name")
def command(name: str) -> None:
    """Keep one part running until it is told to end; NAME as in the Procfile, e.g. stream-worker."""
    from backend.stack.run import run

    run(name)
