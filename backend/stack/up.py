"""``coffee up``: the dashboard in this terminal, the stack in the background for exactly as long."""

import os
import signal
import subprocess
import sys
import time

from backend.stack.child import child_env
from backend.stack.down import require_down
from backend.stack.log_files import last_line, log_path, open_log
from backend.stack.supported_pipelines import supported_pipelines
from backend.stack.terminal import Screen, say_line
from coffee_core.errors import StackError
from coffee_core.parent_death_signal import tied
from coffee_core.passwords import make_password
from coffee_core.settings import Settings

# The passwords of the servers that this stack starts.


def make_passwords(settings: Settings) -> None:
    """See to it that the URLs of the embedded servers have their passwords from now on. Raises ConfigError."""
    if not settings.given_database_url:
        make_password(settings.home, "postgres")
    if not settings.given_redis_url:
        make_password(settings.home, "redis")


_STEP_S = 0.1
_DASHBOARD_WITHIN_S = 3.0
_STACK_WITHIN_S = 30.0


def up(settings: Settings) -> int:
    """Run the stack and the dashboard until either ends; stop both, wait for them, and return the exit code.

    Raises StackError where there is no terminal or the stack runs already.
    """
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise StackError("no terminal to show the dashboard in: use `coffee up --headless`")
    require_down(settings.home)
    settings, _ = supported_pipelines(settings)
    os.umask(0o077)
    screen = Screen()
    ends = _Ends()
    make_passwords(settings)
    # The dashboard first, and with the addresses: it is on screen before the stack has published them.
    env = child_env(settings, settings.addresses)
    dashboard = subprocess.Popen([sys.executable, "-m", "coffee_tui"], env=env, preexec_fn=tied(signal.SIGTERM))
    stack, pipe = _start_stack(settings)
    while dashboard.poll() is None and stack.poll() is None and not ends.asked:
        time.sleep(_STEP_S)
    failed = dashboard.poll() not in (None, 0) and not ends.asked
    _end_dashboard(dashboard)
    screen.restore(reset=dashboard.returncode != 0)
    if failed:
        say_line(f"the dashboard has failed ({_how(dashboard.returncode)})")
    if stack.poll() is not None:
        say_line(f"the stack has ended: {last_line(log_path(settings.home, 'up')) or 'no reason given'}")
        return 0 if stack.returncode == 0 else 1
    say_line("stopping …")
    os.close(pipe)
    try:
        stack.wait(_STACK_WITHIN_S)
    except subprocess.TimeoutExpired:
        stack.kill()  # its children go with it
        stack.wait()
        say_line(f"the stack did not stop within {_STACK_WITHIN_S:g} s and was killed")
        return 1
    say_line(f"everything has stopped; data and logs are in {settings.home}")
    return 1 if failed else 0


def _how(code: int) -> str:
    return signal.Signals(-code).name if code < 0 else f"exit code {code}"


def _start_stack(settings: Settings) -> tuple["subprocess.Popen[bytes]", int]:
    """Start the supervisor in a session of its own; it ends when the pipe does, so also when we are killed."""
    theirs, ours = os.pipe()
    command = [sys.executable, "-m", "backend.stack.supervisor"]
    with open_log(log_path(settings.home, "up")) as log:
        stack = subprocess.Popen(
            command,
            env=child_env(settings, {}),
            stdin=theirs,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    os.close(theirs)
    return stack, ours


def _end_dashboard(dashboard: "subprocess.Popen[bytes]") -> None:
    """End the dashboard where it still runs."""
    if dashboard.poll() is not None:
        return
    dashboard.terminate()
    try:
        dashboard.wait(_DASHBOARD_WITHIN_S)
    except subprocess.TimeoutExpired:
        dashboard.kill()
        dashboard.wait()


class _Ends:
    """Whether we were asked to end: by a signal, or by the end of whoever started us."""

    def __init__(self) -> None:
        self._parent = os.getppid()
        self._told = False
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, self._tell)

    def _tell(self, _number: int, _frame: object) -> None:
        self._told = True

    @property
    def asked(self) -> bool:
        return self._told or os.getppid() != self._parent
