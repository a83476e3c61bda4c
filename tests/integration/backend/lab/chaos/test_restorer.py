"""A full disk is one for its processes alone, for the length of the block, and whatever happens to who made it."""

import os
import pwd
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from backend.lab.chaos.restorer import Restorer
from backend.pipelines.faults import NotReadyError
from backend.stack.privileges import run_as
from tests.servers import free_port
from tests.waiting import until_sync

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="limits of others: Linux alone")

WRITER = """
import pathlib, sys
for line in sys.stdin:
    try:
        pathlib.Path(line.strip()).write_text("x")
        print("written", flush=True)
    except OSError as error:
        print(error.strerror, flush=True)
"""
LIMITER = """
import sys
from backend.lab.chaos.restorer import Restorer
with Restorer(account_of=int(sys.argv[1])) as restorer:
    restorer.keep_from_writing(int(sys.argv[1]))
    print("limited", flush=True)
    sys.stdin.read()
"""


PARENT = """
import subprocess, sys
sys.stdin.readline()
child = subprocess.Popen([sys.executable, "-S", "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE)
print(child.pid, flush=True)
sys.stdin.read()
"""


class Writer:
    """A process that writes a byte into a file and tells what came of it."""

    def __init__(self, process: "subprocess.Popen[str]", file: Path) -> None:
        self.pid = process.pid
        self._process = process
        self._file = file

    def write(self) -> str:
        """Try to write."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{self._file}\n")
        self._process.stdin.flush()
        return self._process.stdout.readline().strip()


@pytest.fixture
def writer(tmp_path: Path) -> Iterator[Writer]:
    command = [sys.executable, "-S", "-c", WRITER]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        yield Writer(process, tmp_path / "file")
        process.communicate("")


def test_no_file_can_be_written_for_the_length_of_the_block(writer: Writer) -> None:
    assert writer.write() == "written"
    with Restorer() as restorer:
        restorer.keep_from_writing(writer.pid)
        assert writer.write() == "File too large"
        restorer.mend()
        assert writer.write() == "written"
        restorer.keep_from_writing(writer.pid)
        restorer.keep_from_writing(writer.pid)
        assert writer.write() == "File too large"
    assert writer.write() == "written"


def test_who_limits_may_be_killed(writer: Writer) -> None:
    command = [sys.executable, "-c", LIMITER, str(writer.pid)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as limiter:
        assert limiter.stdout is not None
        assert limiter.stdout.readline() == "limited\n"
        assert writer.write() == "File too large"
        os.kill(limiter.pid, signal.SIGKILL)
        until_sync(lambda: writer.write() == "written")


@pytest.mark.skipif(os.geteuid() != 0, reason="a process of another account: root alone has one")
def test_who_limits_a_process_of_another_account_may_be_killed() -> None:
    nobody = pwd.getpwnam("nobody")
    command = run_as((sys.executable, "-S", "-c", "input()"), nobody.pw_uid, nobody.pw_gid)
    with subprocess.Popen(command, stdin=subprocess.PIPE, text=True) as theirs:
        until_sync(lambda: psutil.Process(theirs.pid).uids().real == nobody.pw_uid)
        before = _size_limit(theirs.pid)
        command = (sys.executable, "-c", LIMITER, str(theirs.pid))
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as limiter:
            assert limiter.stdout is not None
            assert limiter.stdout.readline() == "limited\n"
            assert _size_limit(theirs.pid) == "0"
            os.kill(limiter.pid, signal.SIGKILL)
            until_sync(lambda: _size_limit(theirs.pid) == before)
        theirs.communicate("\n")


def _size_limit(pid: int) -> str:
    """Return the soft RLIMIT_FSIZE of a process: prlimit() does not tell that of another account everywhere."""
    lines = Path(f"/proc/{pid}/limits").read_text(encoding="ascii").splitlines()
    return next(line for line in lines if line.startswith("Max file size")).split()[3]


def test_who_was_started_in_between_may_write_again() -> None:
    command = [sys.executable, "-S", "-c", PARENT]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdin is not None
        assert parent.stdout is not None
        with Restorer() as restorer:
            restorer.keep_from_writing(parent.pid)
            parent.stdin.write("\n")
            parent.stdin.flush()
            child = int(parent.stdout.readline())
            assert resource.prlimit(child, resource.RLIMIT_FSIZE)[0] == 0
        assert resource.prlimit(child, resource.RLIMIT_FSIZE) == resource.getrlimit(resource.RLIMIT_FSIZE)
        parent.communicate("")


def test_who_has_ended_is_no_trouble() -> None:
    with subprocess.Popen([sys.executable, "-S", "-c", ""]) as process:
        process.wait()
    with Restorer(account_of=process.pid) as restorer:
        restorer.stop(process.pid)
        restorer.keep_from_writing(process.pid)


def test_what_cannot_be_broken_is_said() -> None:
    with Restorer() as restorer, pytest.raises(NotReadyError, match=r"cannot be broken here: fill .* refused"):
        restorer.fill_memory(f"redis://:word@127.0.0.1:{free_port()}/0")
