"""Linux is told that a session comes after others, and never that a session of others does."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from coffee_core.parent_death_signal import dies_with_parent
from coffee_core.priority import lower_session_priority
from tests.waiting import until_sync

pytestmark = pytest.mark.skipif(
    not Path("/proc/self/autogroup").exists(), reason="no Linux that shares by sessions"
)
SHOWS = "print(open('/proc/self/autogroup').read())"
# In a session of its own: the one of a container's first process belongs to no autogroup, and the file is empty.
LEADS = f"""
import subprocess, sys
from coffee_core.parent_death_signal import dies_with_parent
subprocess.run([sys.executable, "-c", {SHOWS!r}], preexec_fn=dies_with_parent(niceness=7), check=True)
{SHOWS}
"""


def _shown(program: str, niceness: int) -> list[str]:
    """Return the niceness of each session that the program shows; it leads one itself."""
    shown = subprocess.run(
        [sys.executable, "-c", program],
        start_new_session=True,
        preexec_fn=dies_with_parent(niceness=niceness),
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    return [line.split()[-1] for line in shown.splitlines() if line]


def test_a_child_that_steps_back_does_so_before_other_sessions_too() -> None:
    # Linux takes one change in a tenth of a second, of whoever is not root.
    until_sync(lambda: _shown(SHOWS, 7) == [str(min(19, os.nice(0) + 7))])


def test_a_session_that_others_share_keeps_its_priority() -> None:
    assert _shown(LEADS, 0) == ["0", "0"]


def test_a_process_that_is_gone_is_left_alone() -> None:
    lower_session_priority(2**22 + 1, 7)  # no pid is as large
