"""A child ends with its parent, and may be told to step back."""

import os
import subprocess
import sys

from coffee_core.parent_death_signal import dies_with_parent
from coffee_core.runstate import alive
from tests.waiting import until_sync

PARENT = """
import subprocess, sys
from coffee_core.parent_death_signal import dies_with_parent
child = subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"], preexec_fn=dies_with_parent())
print(child.pid, flush=True)
sys.stdin.read()
"""


def test_a_child_does_not_outlive_a_killed_parent() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", PARENT], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        assert alive(child)
        parent.kill()
    until_sync(lambda: not _runs(child))


def test_niceness_is_added_to_ours() -> None:
    done = subprocess.run(
        [sys.executable, "-c", "import os; print(os.nice(0))"],
        capture_output=True,
        text=True,
        check=True,
        preexec_fn=dies_with_parent(niceness=3),
    )
    assert int(done.stdout) == min(19, os.nice(0) + 3)


def _runs(pid: int) -> bool:
    """Tell whether a process runs: one that nobody reaps is a zombie, which does not."""
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii") as stat:  # noqa: PTH123
            return stat.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
