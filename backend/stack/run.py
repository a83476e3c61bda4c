"""``coffee run NAME``: one part in one wrapper, as a line of the Procfile starts it."""

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable
from typing import NoReturn

from backend.stack import locks
from backend.stack.network_lab import NAME
from backend.stack.parts import NAMES, Stack, stack
from backend.stack.places import require_home
from backend.stack.stop_signal import run_and_leave, stop_on_signals, stop_with_launchers
from backend.stack.terminal import print_line
from backend.stack.wrapper import Wrapper
from coffee_core.errors import CoffeeError, ConfigError
from coffee_core.settings import Settings


def run(name: str) -> NoReturn:
    """Keep this part running until a signal asks it to end; never returns.

    Raises ConfigError where there is no such part, and StackError where it runs already or cannot be run here.
    """
    os.umask(0o077)
    if name not in NAMES:
        raise ConfigError(f"there is no part {name!r}; choose from {', '.join(NAMES)}")
    settings = Settings.from_env()
    require_home(settings.home)
    here = stack(settings)
    if name in here.parts:
        locks.hold(here.settings.home, name)
        here.publish()
    run_and_leave(_run(name, here))


async def _run(name: str, here: Stack) -> int:
    if name not in here.parts:
        # honcho ends everything when one line ends: what is not wanted waits with the others.
        wanted = f"COFFEE_PIPELINES is {','.join(here.settings.pipelines)}"
        _announce(here.missing or f"not wanted: {'COFFEE_NETWORK_LAB is no' if name == NAME else wanted}", False)
        stopping = asyncio.Event()
        await _wait_until_stopped(stopping.wait(), stopping.set)
        return 0
    wrapper = Wrapper(here.parts[name], here.settings, _announce, here.dependents(name))
    await _wait_until_stopped(wrapper.run(), wrapper.stop)
    return 0


async def _wait_until_stopped(work: Awaitable[object], stop: Callable[[], None]) -> None:
    """Wait for ``work``; call ``stop``, which ends it, on a signal and once the parent or a launcher has gone."""
    stop_on_signals(stop)
    watch = asyncio.create_task(stop_with_launchers(stop, with_parent=True))
    await work
    watch.cancel()


def _announce(line: str, passing: bool) -> None:
    if not passing:
        print_line(line)


def main() -> None:
    """Run the part that is named on the command line, without the rest of the command line."""
    try:
        run(sys.argv[1])
    except CoffeeError as error:
        sys.exit(f"coffee: {error}")


if __name__ == "__main__":
    main()
