"""A child ends with its parent, and may be told to step back: by Linux' own signal, and where there is none."""

import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from coffee_core import parent_death_signal
from coffee_core.parent_death_signal import dies_with_parent
from coffee_core.runstate import alive
from tests.waiting import until_sync

WITH_SIGNAL = pytest.param("pass", marks=pytest.mark.skipif(sys.platform != "linux", reason="Linux alone has it"))
SYSTEMS = [WITH_SIGNAL, "parent_death_signal._prctl = None"]
PARENT = """
import signal, subprocess, sys
from coffee_core import parent_death_signal
{system}
ended = subprocess.Popen("true", preexec_fn=parent_death_signal.dies_with_parent())
ended.wait()
child = subprocess.Popen(
    [sys.executable, "-c", {child!r}],
    stdout=subprocess.PIPE,
    preexec_fn=parent_death_signal.dies_with_parent(signal.{signal}),
)
child.stdout.readline()
print(child.pid, flush=True)
sys.stdin.read()
"""
SLEEPS = "import signal; print(flush=True); signal.pause()"
SAYS_GOODBYE = """
import pathlib, signal
signal.signal(signal.SIGTERM, lambda *_: pathlib.Path({path!r}).touch() or exit())
print(flush=True)
signal.pause()
"""
ASKS_BY_ITSELF = """
import os, signal
from coffee_core import parent_death_signal
{system}
parent_death_signal.die_with(os.getppid())
print(flush=True)
signal.pause()
"""


def _kill_parent_of(child: str, system: str, number: str = "SIGKILL") -> int:
    """Start a parent with this child, kill it, and return the child's pid."""
    code = PARENT.format(system=system, child=child, signal=number)
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        assert alive(pid)
        parent.kill()
    return pid


@pytest.mark.parametrize("system", SYSTEMS)
def test_a_child_does_not_outlive_a_killed_parent(system: str) -> None:
    child = _kill_parent_of(SLEEPS, system)
    until_sync(lambda: not _runs(child))


@pytest.mark.parametrize("system", SYSTEMS)
def test_it_gets_the_signal_that_was_asked_for(system: str, tmp_path: Path) -> None:
    goodbye = tmp_path / "goodbye"
    child = _kill_parent_of(SAYS_GOODBYE.format(path=str(goodbye)), system, "SIGTERM")
    until_sync(lambda: not _runs(child))
    assert goodbye.exists()


@pytest.mark.parametrize("system", SYSTEMS)
def test_a_child_may_ask_for_it_by_itself(system: str) -> None:
    # Not killed by what its parent has asked for: SIGCONT ends nobody.
    child = _kill_parent_of(ASKS_BY_ITSELF.format(system=system), "pass", "SIGCONT")
    until_sync(lambda: not _runs(child))


@pytest.mark.parametrize("prctl", [parent_death_signal._prctl, None])
def test_niceness_is_added_to_ours(prctl: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parent_death_signal, "_prctl", prctl)
    monkeypatch.setattr(parent_death_signal, "_guard", parent_death_signal._Guard())
    done = subprocess.run(
        [sys.executable, "-c", "import os; print(os.nice(0))"],
        capture_output=True,
        text=True,
        check=True,
        preexec_fn=dies_with_parent(niceness=3),
    )
    assert int(done.stdout) == min(19, os.nice(0) + 3)
    if guard := parent_death_signal._guard._process:
        guard.communicate()


def _runs(pid: int) -> bool:
    """Tell whether a process runs: one that nobody reaps is a zombie, which does not."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
