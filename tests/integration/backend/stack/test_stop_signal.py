"""What ends a daemon, and what does not."""

import subprocess
import sys

DAEMON = """
import asyncio, os, signal
from backend.stack.stop_signal import stop_on_signals

async def main():
    stop, later = asyncio.Event(), asyncio.Event()
    stop_on_signals(stop.set)
    asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, later.set)
    os.kill(os.getpid(), signal.SIGHUP)
    os.kill(os.getpid(), signal.SIGUSR1)
    await later.wait()  # the handlers run one after the other
    hung_up = stop.is_set()
    os.kill(os.getpid(), signal.SIGTERM)
    await stop.wait()
    print("hung up" if hung_up else "went on")

asyncio.run(main())
"""


def _daemon(*before: str) -> str:
    done = subprocess.run([*before, sys.executable, "-c", DAEMON], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_a_terminal_that_hangs_up_ends_it_but_not_where_nohup_says_otherwise() -> None:
    assert _daemon() == "hung up"
    assert _daemon("nohup") == "went on"
