"""``coffee-tui``: the dashboard, against a local or a remote stack."""

import click


@click.command(name="coffee-tui")
@click.version_option(package_name="coffee-rt", prog_name="coffee-tui")
def main() -> None:
    """Show three ways to take an order, live.

    Finds the stack by API_URL and REDIS_URL, else by what a running stack has published under COFFEE_HOME.
    """
    # Not at the top: --help and --version need none of it.
    from coffee_core.errors import ConfigError
    from coffee_core.settings import Settings
    from coffee_tui.app import CoffeeApp
    from coffee_tui.feed.live import LiveFeed
    from coffee_tui.feed.orders import LiveOrders

    try:
        settings = Settings.attach()
    except ConfigError as error:
        raise click.ClickException(str(error)) from error
    app = CoffeeApp(settings.pipelines, LiveFeed(settings), LiveOrders(settings))
    app.run()
    raise SystemExit(app.return_code or 0)


if __name__ == "__main__":
    main()
