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


def _niceness_of_child(*, leads: bool) -> str:
    command = [sys.executable, "-c", SHOWS]
    child = dies_with_parent(niceness=7)
    return subprocess.run(
        command, start_new_session=leads, preexec_fn=child, capture_output=True, text=True, check=True
    ).stdout.split()[-1]


def test_a_child_that_steps_back_does_so_before_other_sessions_too() -> None:
    # Linux takes one change in a tenth of a second, of whoever is not root.
    until_sync(lambda: _niceness_of_child(leads=True) == str(min(19, os.nice(0) + 7)))


def test_a_session_that_others_share_keeps_its_priority() -> None:
    before = Path("/proc/self/autogroup").read_text()
    assert _niceness_of_child(leads=False) == before.split()[-1]
    lower_session_priority(2**22 + 1, 7)  # nobody's
    assert Path("/proc/self/autogroup").read_text() == before
