"""``coffee-tui``: the dashboard, against a local or a remote stack, or from a recording."""

import asyncio
import gc
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from coffee_core.entry import prepare
from coffee_core.numbers import parse_number

if TYPE_CHECKING:
    from coffee_core.output import Output
    from coffee_tui.data.recording import Recorder
    from coffee_tui.data.sources import Sources


def _speed(_ctx: click.Context, _option: click.Parameter, text: str) -> float:
    """Read --speed. Raises click.BadParameter."""
    try:
        return parse_number(text, 0.1, 100)
    except ValueError as error:
        raise click.BadParameter(f"{text!r} {error}") from error


class NoTerminalError(click.ClickException):
    """There is nothing to draw in."""

    exit_code = 2


_FILE = click.Path(dir_okay=False, path_type=Path)
_PAINTS_PER_S = 250
"""After it has painted, Textual waits for up to two of these periods: a key must not."""
_LOADED_S = 10.0
"""Seconds after which nothing more is imported, connected or laid out for the first time."""


def main() -> None:
    """Run the command line and leave with its exit code."""
    from coffee_core.output import protect_output

    output = protect_output()
    try:
        command.main(prog_name="coffee-tui", obj=output)
    except SystemExit as end:
        # click's own ends, with exit code 0 after --help, with 2 after a wrong option.
        code = end.code if isinstance(end.code, int) else 0
    sys.exit(output.finish("coffee-tui", code))


@click.command(name="coffee-tui", context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="coffee-rt", prog_name="coffee-tui")
@click.option("--record", metavar="FILE", type=_FILE, help="Write what is shown to a file, to be replayed.")
@click.option("--replay", metavar="FILE", type=_FILE, help="Play a recording; no stack is needed.")
@click.option("--demo", is_flag=True, help="Play the recording that ships with coffee-rt; no stack is needed.")
@click.option(
    "--export", metavar="FILE.html", type=_FILE,
    help="Write the recording of --replay or --demo as a page that plays in a browser, offline.",
)  # fmt: skip
@click.option("--tour", is_flag=True, help="Give a talk that drives the lab; of a recording where no stack runs.")
@click.option("--auto", is_flag=True, help="--tour goes on by itself, and ends the dashboard at its end.")
@click.option(
    "--speed", default="1", callback=_speed, metavar="N", help="Speed of --replay and --demo; of --auto."
)
@click.option("--json", "as_json", is_flag=True, help="Write one snapshot a line instead, for scripts.")
@click.option(
    "--keys", "list_keys", is_flag=True, help="List the keys as their file has them, and say where it is."
)
@click.option("--web", is_flag=True, help="Serve it to browsers instead, each with a dashboard of its own.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address that --web listens on.")
@click.option("--port", default=8006, type=click.IntRange(1, 65_535), show_default=True, help="Port of --web.")
@click.option(
    "--port-guarded", is_flag=True, help="No warning: a container or a proxy decides who reaches --port."
)
@click.pass_obj
def command(
    output: "Output",
    *,
    record: Path | None,
    replay: Path | None,
    demo: bool,
    export: Path | None,
    tour: bool,
    auto: bool,
    speed: float,
    as_json: bool,
    list_keys: bool,
    web: bool,
    host: str,
    port: int,
    port_guarded: bool,
) -> None:
    """Show several ways to take an order, live.

    Finds the stack by API_URL and REDIS_URL, else by what a running stack has published under COFFEE_HOME.
    """
    _require_fitting(
        recording=(replay is not None) + demo,
        record=record is not None,
        export=export is not None,
        as_json=as_json,
        web=web,
        tour=tour,
        auto=auto,
    )
    # Not at the top: --help and --version need none of it.
    from coffee_core.errors import CoffeeError
    from coffee_core.output import has_terminal
    from coffee_tui.data import sources
    from coffee_tui.web import SERVER

    if list_keys:
        try:
            _list_keys()
        except CoffeeError as error:
            raise click.ClickException(str(error)) from error
        return
    # The dashboards that --web starts have pipes.
    if not (as_json or web or export or SERVER in os.environ or has_terminal()):
        raise NoTerminalError("no terminal to show the dashboard in: --json writes lines, --web serves browsers")
    try:
        demo = demo or (tour and replay is None and not sources.stack_answers())
        if demo or replay is not None:
            source = sources.demo(speed=speed) if replay is None else sources.replay(replay, speed=speed)
        else:
            source = sources.live()
        if export is not None:
            _export(source, export, "the demo" if replay is None else replay.name)
            return
        if web:
            _serve(replay, host, port, guarded=port_guarded, demo=demo, speed=speed)
            return
        with sources.open_recorder(record, source.pipelines) as recorder:
            if as_json:
                code = asyncio.run(_lines(source, output, recorder))
            else:
                code = asyncio.run(show(source, recorder, tour=tour, auto_speed=speed if auto else None))
    except CoffeeError as error:
        raise click.ClickException(str(error)) from error
    raise SystemExit(code)


def _export(source: "Sources", path: Path, name: str) -> None:
    """Write a recording as a page. Raises CoffeeError where the file cannot be written."""
    from coffee_core.errors import CoffeeError
    from coffee_tui.export import player_page

    def announce(done_s: float, whole_s: float) -> None:
        if sys.stderr.isatty():
            click.echo(f"\r{done_s:5.0f} of {whole_s:.0f} s ", nl=False, err=True)

    assert source.player is not None, "it is a recording"
    try:
        # Before the minutes that it takes: whether the file can be written.
        path.touch()
        page = asyncio.run(player_page(source.pipelines, source.player.frames, f"coffee-rt: {name}", announce))
        path.write_text(page, encoding="utf-8")
    except OSError as error:
        raise CoffeeError(f"{path} cannot be written: {error.strerror}") from error
    click.echo(f"{path}: {len(page) / 1e6:.2f} MB")


def _require_fitting(
    *, recording: int, record: bool, export: bool, as_json: bool, web: bool, tour: bool, auto: bool
) -> None:
    """Raise UsageError where what was asked for does not go together; ``recording`` counts those named."""
    if recording > 1:
        raise click.UsageError("--replay and --demo: choose one")
    if auto and not tour:
        raise click.UsageError("--auto goes with --tour")
    if tour and (web or as_json):
        raise click.UsageError("--tour goes with neither --web nor --json")
    if export and (not recording or record or as_json or tour):
        raise click.UsageError(
            "--export goes with --replay FILE or --demo alone: record a session by --record first"
        )
    if web and (record or as_json or export):
        raise click.UsageError("--web goes with --replay, --demo and --speed alone")


def _list_keys() -> None:
    """Write the file of keys as it would be if it named every action. Raises ConfigError."""
    from coffee_tui.app import screens
    from coffee_tui.data.preferences import keys_path
    from coffee_tui.keymap import keymap_lines, read_keymap

    path = keys_path()
    pages = screens()
    lines = keymap_lines(pages, read_keymap(path, pages))
    click.echo("\n".join([f"# {path}: lines that are not there leave a key as it is", *lines]))


def _serve(replay: Path | None, host: str, port: int, *, guarded: bool, demo: bool, speed: float) -> None:
    """Serve dashboards until interrupted; their sources have been tried before."""
    from coffee_tui.web.server import serve

    chosen = ["--demo"] if demo else [] if replay is None else ["--replay", str(replay.absolute())]
    serve([*chosen, "--speed", str(speed)], host, port, guarded=guarded)


async def show(
    source: "Sources", recorder: "Recorder | None", *, tour: bool = False, auto_speed: float | None = None
) -> int:
    """Show the dashboard until it is left, with a ``tour`` from the beginning on; return the exit code.

    With ``auto_speed`` the tour goes on by itself, so many times as fast, and ends the dashboard.
    """
    os.environ.setdefault("TEXTUAL_FPS", str(_PAINTS_PER_S))
    if sys.__stdout__ is not None and sys.__stdout__.isatty():
        # A shell may export the size of another terminal, and how others are to draw; this one knows its own.
        for name in ("COLUMNS", "LINES", "TEXTUAL_DRIVER"):
            os.environ.pop(name, None)
    from coffee_core.errors import CoffeeError
    from coffee_core.parent_death_signal import die_with
    from coffee_tui.app import CoffeeApp, screens
    from coffee_tui.data.preferences import (
        Preferences,
        keys_path,
        load_preferences,
        preferences_path,
        save_preferences,
    )
    from coffee_tui.keymap import read_keymap
    from coffee_tui.web import SERVER

    if server := os.environ.pop(SERVER, None):
        die_with(int(server))
    path = preferences_path()
    try:
        preferences = load_preferences(path)
    except OSError as error:
        raise CoffeeError(f"{path} cannot be read: {error.strerror}") from error
    source.orders.restore(preferences)
    keys = read_keymap(keys_path(), screens())
    app = CoffeeApp(
        source, recorder, welcome=preferences.first_run and not tour, keys=keys, tour=tour, auto_speed=auto_speed
    )
    if preferences.theme in app.available_themes:
        app.theme = preferences.theme
    # Asked to end, it leaves the terminal as it found it and ends its load process.
    for number in (signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, app.exit)
    asyncio.get_running_loop().call_later(_LOADED_S, _keep_what_is_loaded)
    try:
        await app.run_async()
    finally:
        if source.faults is not None:
            await source.faults.close()
    if source.attachment is not None:
        try:
            save_preferences(path, Preferences.of(app.live.orders, app.theme))
        except OSError as error:
            click.echo(f"{path} cannot be written, so nothing is remembered: {error.strerror}", err=True)
    return app.return_code or 0


def _keep_what_is_loaded() -> None:
    """Exempt the modules from garbage collection: a scan of all takes 70 ms, in which no key is answered."""
    gc.freeze()
    # There is nothing left to look at: from now on it comes when much is new compared with nothing.
    gc.collect()


async def _lines(source: "Sources", output: "Output", recorder: "Recorder | None") -> int:
    """Write snapshots until interrupted or until nobody reads them; return the exit code."""
    from coffee_tui.data.json_lines import write_lines

    return await write_lines(source.feed, output, recorder)


if __name__ == "__main__":
    prepare()
    main()
