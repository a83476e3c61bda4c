"""``coffee up``: the dashboard in this terminal, the stack in the background for exactly as long."""

import os
import signal
import subprocess
import time

from backend.stack.down import require_down
from backend.stack.log_files import log_path, open_log, text_since
from backend.stack.places import require_home
from backend.stack.reason import reason_in
from backend.stack.spawn import child_env
from backend.stack.supported_pipelines import supported_pipelines
from backend.stack.terminal import TerminalModes, print_line
from coffee_core.children import python_module
from coffee_core.errors import ConfigError
from coffee_core.output import has_terminal
from coffee_core.parent_death_signal import dies_with_parent
from coffee_core.passwords import make_password
from coffee_core.settings import Settings

_POLL_S = 0.1
_DASHBOARD_WITHIN_S = 3.0
_STACK_WITHIN_S = 30.0


def up(settings: Settings) -> int:
    """Run the stack and the dashboard until either ends; stop both, wait for them, and return the exit code.

    Raises ConfigError where there is no terminal, StackError where the stack runs already.
    """
    if not has_terminal():
        raise ConfigError("no terminal to show the dashboard in: use `coffee up --headless`")
    require_down(settings.home)
    require_home(settings.home)
    settings, _ = supported_pipelines(settings)
    os.umask(0o077)
    modes = TerminalModes()
    end = _EndRequest()
    _make_passwords(settings)
    # The dashboard first, and with the addresses: it is on screen before the stack has published them.
    env = child_env(settings, settings.addresses, terminal=True)
    dashboard = subprocess.Popen(python_module("coffee_tui"), env=env, preexec_fn=dies_with_parent(signal.SIGTERM))
    stack, pipe = _start_stack(settings)
    while dashboard.poll() is None and stack.poll() is None and not end.requested:
        time.sleep(_POLL_S)
    failed = dashboard.poll() not in (None, 0) and not end.requested
    _end_dashboard(dashboard)
    modes.restore(reset=dashboard.returncode != 0)
    if failed:
        print_line(f"the dashboard has failed ({_outcome(dashboard.returncode)})")
    if stack.poll() is not None:
        print_line(
            f"the stack has ended: {reason_in(text_since(log_path(settings.home, 'up'))) or 'no reason given'}"
        )
        return 0 if stack.returncode == 0 else 1
    print_line("stopping …")
    os.close(pipe)
    try:
        stack.wait(_STACK_WITHIN_S)
    except subprocess.TimeoutExpired:
        stack.kill()  # its children go with it
        stack.wait()
        print_line(f"the stack did not stop within {_STACK_WITHIN_S:g} s and was killed")
        return 1
    print_line(f"everything has stopped; data and logs are in {settings.home}")
    return 1 if failed else 0


def _make_passwords(settings: Settings) -> None:
    """Make the passwords of the servers that this stack starts: their URLs have them from then on."""
    if not settings.given_database_url:
        make_password(settings.home, "postgres")
    if not settings.given_redis_url:
        make_password(settings.home, "redis")


def _start_stack(settings: Settings) -> tuple["subprocess.Popen[bytes]", int]:
    """Start the supervisor in a session of its own; it ends when the pipe does, so also when we are killed."""
    theirs, ours = os.pipe()
    with open_log(log_path(settings.home, "up")) as log:
        stack = subprocess.Popen(
            python_module("backend.stack.supervisor"),
            env=child_env(settings, {}, downloads=True),
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


def _outcome(code: int) -> str:
    return signal.Signals(-code).name if code < 0 else f"exit code {code}"


class _EndRequest:
    """Whether we were asked to end: by a signal, or by the end of the process that started us."""

    def __init__(self) -> None:
        self._parent = os.getppid()
        self._signalled = False
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, self._note)

    def _note(self, _number: int, _frame: object) -> None:
        self._signalled = True

    @property
    def requested(self) -> bool:
        return self._signalled or os.getppid() != self._parent
