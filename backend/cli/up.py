"""``coffee up``."""

import os

import click

from coffee_core.settings import Settings


@click.command("up")
@click.option(
    "--headless", is_flag=True, help="No dashboard: print a line for each change. Ctrl-C ends everything."
)
@click.option("--pipelines", metavar="v1,v2,v3", help="Pipelines to run; without v3 no Kafka and no Flink.")
@click.pass_context
def command(ctx: click.Context, *, headless: bool, pipelines: str | None) -> None:
    """Start everything, open the dashboard in this terminal, and stop everything when it is left."""
    chosen = {} if pipelines is None else {"COFFEE_PIPELINES": pipelines}
    settings = Settings.from_env({**os.environ, **chosen})
    if headless:
        from backend.stack.supervisor import supervise

        supervise(settings)
    from backend.stack.foreground import up

    ctx.exit(up(settings))
