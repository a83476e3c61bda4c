"""``coffee-tui --web``: where it listens, whom it answers, what it runs."""

import logging
import os
import shlex
from collections.abc import Sequence
from pathlib import Path

import click
from aiohttp import web
from aiohttp.typedefs import Handler, Middleware
from textual_serve.server import Server

from coffee_core.children import child_environ, python_module
from coffee_core.errors import CoffeeError
from coffee_core.origin_check import is_loopback, refusal
from coffee_tui.web import SERVER


def check_origin(bound_to: str) -> Middleware:
    """Return a middleware that answers 403 to all but pages of this server, under a name that it is known by."""

    @web.middleware
    async def let_through(request: web.Request, handler: Handler) -> web.StreamResponse:
        if why := refusal(bound_to, request.host, request.headers.get("Origin")):
            return web.Response(status=403, text=f"{why}\n")
        return await handler(request)

    return let_through


_HERE = Path(__file__).parent


class WebServer(Server):
    """Serves one dashboard for each page that is opened, each in a process of its own."""

    def __init__(self, arguments: Sequence[str], host: str, port: int, *, guarded: bool) -> None:
        self._warns = not (guarded or is_loopback(host))
        command = shlex.join(python_module("coffee_tui", *arguments))
        # In place of the shell, so that a signal reaches the dashboard.
        super().__init__(f"exec {command}", host, port, title="coffee-rt", templates_path=_HERE)

    def initialize_logging(self) -> None:
        """Log what goes wrong, and nothing else."""
        logging.basicConfig(level=logging.WARNING, format="%(message)s")

    async def _make_app(self) -> web.Application:
        app = await super()._make_app()
        app.middlewares.append(check_origin(self.host))
        return app

    async def on_startup(self, app: web.Application) -> None:
        """Print nothing yet: it does not listen."""

    def serve(self, debug: bool = False) -> None:
        """Serve until interrupted. Raises OSError where the address cannot be listened on."""
        self.debug = debug
        self.initialize_logging()
        web.run_app(self._make_app(), host=self.host, port=self.port, access_log=None, print=self._print_address)

    def _print_address(self, _: str) -> None:
        click.echo(f"the dashboard is at http://{_written(self.host)}:{self.port} (Ctrl-C ends it)")
        if self._warns:
            click.echo("not loopback: whoever reaches it can send orders and break this stack", err=True)


def _written(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def serve(arguments: Sequence[str], host: str, port: int, *, guarded: bool) -> None:
    """Serve until interrupted; ``guarded``: who reaches the port is decided elsewhere, and needs no warning.

    Raises CoffeeError where the address cannot be listened on.
    """
    # The dashboards inherit our environment, and end with us however we end.
    environ = child_environ({SERVER: str(os.getpid())})
    os.environ.clear()
    os.environ.update(environ)
    try:
        WebServer(arguments, host, port, guarded=guarded).serve()
    except OSError as error:
        raise CoffeeError(
            f"{_written(host)}:{port} cannot be listened on ({error.strerror}): choose another --port or --host"
        ) from error
