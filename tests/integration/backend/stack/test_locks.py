"""Two stacks never share a home."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from backend.stack import locks
from backend.stack.down import down, require_down, wipe
from tests.waiting import until_sync


def _holder(home: Path) -> "subprocess.Popen[bytes]":
    code = (
        "import pathlib, signal, sys; from backend.stack import locks; "
        "locks.hold(pathlib.Path(sys.argv[1]), 'redis'); signal.pause()"
    )
    return subprocess.Popen([sys.executable, "-c", code, str(home)])


def test_a_second_holder_is_told_who_runs_and_how_to_attach(tmp_path: Path) -> None:
    handle = locks.hold(tmp_path, locks.SUPERVISOR)
    with pytest.raises(locks.AlreadyRunningError, match=rf"already runs in .* \(pid {os.getpid()}\).*coffee-tui"):
        locks.hold(tmp_path, locks.SUPERVISOR)
    with pytest.raises(locks.AlreadyRunningError):
        require_down(tmp_path)
    os.close(handle)
    os.close(locks.hold(tmp_path, locks.SUPERVISOR))
    require_down(tmp_path)


def test_nothing_is_deleted_under_what_runs_and_nothing_starts_while_it_is_deleted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "redis").mkdir()
    child = _holder(tmp_path)
    try:
        until_sync(lambda: locks.holders(tmp_path) == {"redis": child.pid})
        with pytest.raises(locks.AlreadyRunningError, match=str(child.pid)):
            wipe(tmp_path)
    finally:
        child.kill()
        child.wait()
    assert (tmp_path / "redis").is_dir()
    deleted = []

    def try_to_start(folder: Path) -> None:
        with pytest.raises(locks.AlreadyRunningError):
            locks.hold(tmp_path, locks.SUPERVISOR)
        deleted.append(folder.name)

    monkeypatch.setattr(shutil, "rmtree", try_to_start)
    wipe(tmp_path)
    assert deleted == ["redis", "run"], "the locks last"


def test_a_lock_that_was_deleted_meanwhile_is_no_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = locks.open_lock_file

    def opened_and_deleted(path: Path) -> int:
        monkeypatch.setattr(locks, "open_lock_file", opened)
        handle = opened(path)
        path.unlink()
        return handle

    monkeypatch.setattr(locks, "open_lock_file", opened_and_deleted)
    os.close(locks.hold(tmp_path, locks.SUPERVISOR))
    assert locks.holder(tmp_path, locks.SUPERVISOR) is None
    assert (tmp_path / "run" / "up.lock").exists()


def test_the_kernel_lifts_the_lock_of_a_killed_holder(tmp_path: Path) -> None:
    child = _holder(tmp_path)
    try:
        until_sync(lambda: locks.holders(tmp_path) == {"redis": child.pid})
    finally:
        child.kill()
        child.wait()
    assert locks.holders(tmp_path) == {}


def test_down_ends_every_holder_and_says_whether_there_was_one(tmp_path: Path) -> None:
    assert down(tmp_path) is False
    child = _holder(tmp_path)
    try:
        until_sync(lambda: locks.holders(tmp_path))
        assert down(tmp_path) is True
        assert child.wait(5) == -15
    finally:
        child.kill()
