"""What the wrappers publish is whole, private, and not believed once its wrapper is gone."""

import errno
import fcntl
import os
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from coffee_core.file_lock import lock_file
from coffee_core.runstate import (
    PartState,
    State,
    lock_path,
    read_env,
    read_remarks,
    read_states,
    run_dir,
    sync_file,
    write_env,
    write_state,
)


def test_a_state_survives_the_round_trip(tmp_path: Path) -> None:
    state = PartState("kafka", 42, 9092, State.UP, "", 1, 0, wrapper_pid=os.getpid())
    write_state(tmp_path, state)
    assert read_states(tmp_path) == [state]


def test_a_part_whose_wrapper_is_gone_is_stopped(tmp_path: Path) -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    write_state(tmp_path, PartState("kafka", 42, 9092, State.UP, wrapper_pid=gone.pid))
    assert read_states(tmp_path) == [PartState("kafka", None, 9092, State.STOPPED)]


def test_a_pid_that_another_program_has_by_now_is_not_believed(tmp_path: Path) -> None:
    state = PartState("kafka", 42, 9092, State.UP, wrapper_pid=os.getpid())
    write_state(tmp_path, state)
    handle = lock_file(lock_path(tmp_path, "kafka"))
    assert handle is not None
    assert read_states(tmp_path) == [state]
    os.close(handle)
    assert read_states(tmp_path) == [PartState("kafka", None, 9092, State.STOPPED)]


def test_on_a_full_disk_a_state_takes_the_place_of_the_last_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_room(**_: object) -> tuple[int, str]:
        raise OSError(errno.ENOSPC, "No space left on device")

    long = PartState("kafka", 42, 9092, State.STARTING, "a long detail", wrapper_pid=os.getpid())
    write_state(tmp_path, long)
    monkeypatch.setattr(tempfile, "mkstemp", no_room)
    for state in (PartState("kafka", None, 9092, State.BACKOFF, wrapper_pid=os.getpid()), long):
        write_state(tmp_path, state)
        assert read_states(tmp_path) == [state]
    with pytest.raises(OSError, match="No space left on device"):
        write_state(tmp_path, PartState("another", 1, None, State.UP))


@pytest.mark.parametrize("left", [b"", b"\0" * 512, b'{"name": "kaf', b"[]", b"{}", b"\xff"])
def test_what_a_power_cut_leaves_of_a_file_is_none(tmp_path: Path, left: bytes) -> None:
    run_dir(tmp_path).mkdir()
    for name in ("kafka.json", "flink-remarks", "env"):
        (run_dir(tmp_path) / name).write_bytes(left)
    assert (read_states(tmp_path), read_remarks(tmp_path), read_env(tmp_path)) == ([], {}, {})


def test_the_files_are_their_owners_alone(tmp_path: Path) -> None:
    write_env(tmp_path, {"REDIS_URL": "redis://:hush@127.0.0.1:6379/0"})
    (path,) = run_dir(tmp_path).iterdir()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(run_dir(tmp_path).stat().st_mode) == 0o700
    assert read_env(tmp_path) == {"REDIS_URL": "redis://:hush@127.0.0.1:6379/0"}


def test_no_stack_means_no_addresses(tmp_path: Path) -> None:
    assert read_env(tmp_path) == {}
    assert read_states(tmp_path) == []


@pytest.mark.parametrize("refused", [False, True])
def test_what_is_written_goes_through_the_disks_own_cache_where_that_takes_a_call_of_its_own(
    refused: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []

    def control(_handle: int, command: int) -> None:
        calls.append(command)
        if refused:
            raise OSError(errno.ENOTSUP, "not on this file system")

    monkeypatch.setattr(fcntl, "F_FULLFSYNC", 51, raising=False)  # macOS
    monkeypatch.setattr(fcntl, "fcntl", control)
    monkeypatch.setattr(os, "fsync", lambda _handle: calls.append("fsync"))
    sync_file(tmp_path)
    assert calls == ([51, "fsync"] if refused else [51])
