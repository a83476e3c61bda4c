"""What was frozen goes on: after the block, after an error, and after a SIGKILL of whoever froze it."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import psutil
import pytest

from backend.lab.chaos.restorer import frozen
from tests.waiting import until_sync

FAMILY = """
import subprocess, sys
child = subprocess.Popen([sys.executable, "-S", "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE)
print(child.pid, flush=True)
sys.stdin.read()
"""
# A background run of the tests ignores SIGINT, unless it is asked for. And select(), not read(): a signal that
# comes right before a read would wait until it ends.
FREEZER = """
import select, signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
from backend.lab.chaos.restorer import frozen
with frozen(int(sys.argv[1])):
    print("frozen", flush=True)
    while not select.select([sys.stdin], [], [], 0.1)[0]:
        pass
"""


@pytest.fixture
def family() -> Iterator[tuple[psutil.Process, psutil.Process]]:
    """A process and its child."""
    with subprocess.Popen(
        [sys.executable, "-S", "-c", FAMILY], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        yield psutil.Process(parent.pid), psutil.Process(int(parent.stdout.readline()))
        parent.communicate("")


def stopped(processes: tuple[psutil.Process, ...]) -> list[bool]:
    return [each.status() == psutil.STATUS_STOPPED for each in processes]


def test_a_process_and_its_children_stand_still_and_go_on(family: tuple[psutil.Process, psutil.Process]) -> None:
    with frozen(family[0].pid):
        until_sync(lambda: all(stopped(family)))
    until_sync(lambda: not any(stopped(family)))


def test_an_error_in_between_thaws_them(family: tuple[psutil.Process, psutil.Process]) -> None:
    with pytest.raises(RuntimeError), frozen(family[0].pid):
        raise RuntimeError
    until_sync(lambda: not any(stopped(family)))


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_who_freezes_may_be_killed(family: tuple[psutil.Process, psutil.Process], number: signal.Signals) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", FREEZER, str(family[0].pid)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as freezer:
        assert freezer.stdout is not None
        assert freezer.stdout.readline() == "frozen\n"
        until_sync(lambda: all(stopped(family)))
        os.kill(freezer.pid, number)
        until_sync(lambda: not any(stopped(family)))
