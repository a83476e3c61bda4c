"""``coffee-tui``: the dashboard, against a local or a remote stack."""

import asyncio
import signal
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from coffee_core.settings import Settings


@click.command(name="coffee-tui", context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="coffee-rt", prog_name="coffee-tui")
def main() -> None:
    """Show three ways to take an order, live.

    Finds the stack by API_URL and REDIS_URL, else by what a running stack has published under COFFEE_HOME.
    """
    # Not at the top: --help and --version need none of it.
    from coffee_core.errors import ConfigError
    from coffee_core.settings import Settings

    try:
        settings = Settings.attach()
    except ConfigError as error:
        raise click.ClickException(str(error)) from error
    raise SystemExit(asyncio.run(show(settings)))


async def show(settings: "Settings") -> int:
    """Show the dashboard of a stack until it is left; return the exit code."""
    from coffee_tui.app import CoffeeApp
    from coffee_tui.feed.live import LiveFeed
    from coffee_tui.feed.orders import LiveOrders

    app = CoffeeApp(settings.pipelines, LiveFeed(settings), LiveOrders(settings))
    # Told to end, it leaves the terminal as it found it and ends its load process.
    for number in (signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, app.exit)
    await app.run_async()
    return app.return_code or 0


if __name__ == "__main__":
    main()
