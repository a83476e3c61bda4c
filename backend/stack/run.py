"""``coffee run NAME``: one part in one wrapper, as a line of the Procfile starts it."""

import asyncio
import os
import sys
from typing import NoReturn

from backend.stack import state
from backend.stack.parts import NAMES, Stack, stack
from backend.stack.state import publish
from backend.stack.stop_signal import run_and_leave, stop_on_signals, stop_with_launchers
from backend.stack.terminal import say_line
from backend.stack.wrapper import Wrapper
from coffee_core.errors import CoffeeError, ConfigError
from coffee_core.settings import Settings


def run(name: str) -> NoReturn:
    """Keep this part running until we are told to end; never returns.

    Raises ConfigError where there is no such part, and StackError where it runs already or cannot be run here.
    """
    os.umask(0o077)
    if name not in NAMES:
        raise ConfigError(f"there is no part {name!r}; choose from {', '.join(NAMES)}")
    here = stack(Settings.from_env())
    if name in here.parts:
        state.hold(here.settings.home, name)
        publish(here.settings)
    run_and_leave(_run(name, here))


async def _run(name: str, here: Stack) -> int:
    stopping = asyncio.Event()
    stop_on_signals(stopping.set)
    if name not in here.parts:
        # honcho ends everything when one line ends: what is not wanted waits with the others.
        _announce(here.missing or f"not wanted: COFFEE_PIPELINES is {','.join(here.settings.pipelines)}", False)
        kin = asyncio.create_task(stop_with_launchers(stopping.set, with_parent=True))
        await stopping.wait()
        kin.cancel()
        return 0
    wrapper = Wrapper(here.parts[name], here.settings, _announce, here.dependents(name))
    stop_on_signals(wrapper.stop)
    kin = asyncio.create_task(stop_with_launchers(wrapper.stop, with_parent=True))
    await wrapper.run()
    kin.cancel()
    return 0


def _announce(line: str, passing: bool) -> None:
    if not passing:
        say_line(line)


def main() -> None:
    """Run the part that is named on the command line, without the rest of the command line."""
    try:
        run(sys.argv[1])
    except CoffeeError as error:
        sys.exit(f"coffee: {error}")


if __name__ == "__main__":
    main()
