"""What the wrappers publish is whole, private, and not believed once its wrapper is gone."""

import os
import stat
import subprocess
import sys
from pathlib import Path

from coffee_core.runstate import PartState, State, read_env, read_states, run_dir, write_env, write_state


def test_a_state_survives_the_round_trip(tmp_path: Path) -> None:
    state = PartState("kafka", 42, 9092, State.UP, "", 1, 0, wrapper_pid=os.getpid())
    write_state(tmp_path, state)
    assert read_states(tmp_path) == [state]


def test_a_part_whose_wrapper_is_gone_is_stopped(tmp_path: Path) -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    write_state(tmp_path, PartState("kafka", 42, 9092, State.UP, wrapper_pid=gone.pid))
    assert read_states(tmp_path) == [PartState("kafka", None, 9092, State.STOPPED)]


def test_the_files_are_their_owners_alone(tmp_path: Path) -> None:
    write_env(tmp_path, {"REDIS_URL": "redis://:hush@127.0.0.1:6379/0"})
    (path,) = run_dir(tmp_path).iterdir()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(run_dir(tmp_path).stat().st_mode) == 0o700
    assert read_env(tmp_path) == {"REDIS_URL": "redis://:hush@127.0.0.1:6379/0"}


def test_no_stack_means_no_addresses(tmp_path: Path) -> None:
    assert read_env(tmp_path) == {}
    assert read_states(tmp_path) == []
