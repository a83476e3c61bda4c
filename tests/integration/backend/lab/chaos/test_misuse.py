"""What cannot be broken is refused with one line."""

import os
import subprocess
import sys
from pathlib import Path

from coffee_core.runstate import PartState, State, write_env, write_state


def test_a_fault_of_what_does_not_run_and_an_unknown_one_are_misuse(tmp_path: Path) -> None:
    write_state(tmp_path, PartState("redis", 7, 1, State.UP, wrapper_pid=os.getpid()))
    write_env(tmp_path, {"COFFEE_PIPELINES": "v2"})
    env = {**os.environ, "COFFEE_HOME": str(tmp_path)}
    for words, message in (
        (["kill-kafka"], "breaks what does not run here"),
        (["kill-nothing"], "no fault 'kill-nothing'"),
        (["kill-redis", "--all"], "either a fault or --all"),
        (["kill-redis", "--pipeline", "v1"], "v1 does not run here"),
        (["kill-redis", "--for", "2"], "kill-redis is over at once"),
    ):
        done = subprocess.run(
            [sys.executable, "-m", "backend.cli", "chaos", *words],
            env=env,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert done.returncode == 2, done
        (line,) = done.stderr.splitlines()
        assert line.startswith("coffee: ")
        assert message in line
