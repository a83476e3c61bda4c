"""The process: what it says and how it ends where it cannot run."""

import os
import socket
import subprocess
import sys
from pathlib import Path


def _run(home: Path, **env: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "backend.api"],
        env={**os.environ, "COFFEE_HOME": str(home), **env},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def test_a_setting_that_cannot_be_used_is_one_line_and_exit_code_2(tmp_path: Path) -> None:
    ended = _run(tmp_path, COFFEE_API_PORT="coffee")
    assert ended.returncode == 2
    assert ended.stderr.count("\n") == 1
    assert "COFFEE_API_PORT" in ended.stderr


def test_a_taken_port_ends_it(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        ended = _run(tmp_path, COFFEE_API_PORT=str(port))
    assert ended.returncode not in (0, 2)
    assert "address already in use" in ended.stderr.lower()
    assert str(port) in ended.stderr
