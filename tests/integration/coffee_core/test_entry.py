"""What a shell leaves to the commands: whatever it is, they do the same."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.hostile import HOSTILE, fill_with_others_files

PREPARED = "from coffee_core.entry import prepare; prepare()\n"


def run(code: str, **environ: str) -> list[str]:
    """Return the words that a program prints whose process has been prepared."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")} | environ
    command = [sys.executable, "-c", PREPARED + code]
    return subprocess.run(command, env=env, capture_output=True, text=True, check=True).stdout.split()


def test_how_a_child_ended_is_known_and_no_signal_is_deaf_whatever_the_parent_left(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = signal.getsignal(signal.SIGCHLD)
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    read, write = os.pipe()
    try:
        code = (
            "import os, signal, subprocess, sys\n"
            "ended = subprocess.run([sys.executable, '-c', 'raise SystemExit(3)']).returncode\n"
            f"os.write({write}, f'{{ended}} {{len(signal.pthread_sigmask(signal.SIG_BLOCK, ()))}}'.encode())"
        )
        with subprocess.Popen([sys.executable, "-c", PREPARED + code], pass_fds=[write]):
            os.close(write)
            said = os.read(read, 100)
    finally:
        os.close(read)
        signal.signal(signal.SIGCHLD, before)
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
    assert said == b"3 0"


def test_variables_for_python_and_for_other_databases_are_dropped() -> None:
    code = "import os; print(*sorted(name for name in os.environ if name.startswith(('PG', 'PYTHON'))))"
    hostile = {name: value for name, value in HOSTILE.items() if name.startswith(("PG", "PYTHON"))}
    assert run(code, **hostile) == ["PYTHONSAFEPATH"]
    given = run(code, DATABASE_URL="postgresql://db/coffee", PGUSER="barista")
    assert given == ["PGUSER", "PYTHONSAFEPATH"], "they fill in what a URL of the user's own leaves open"


def test_what_pythonpath_names_hides_nothing(tmp_path: Path) -> None:
    fill_with_others_files(tmp_path)
    (tmp_path / "sitecustomize.py").unlink()  # Python itself imports that, before any program
    (tmp_path / "of_the_user.py").touch()
    assert run("import backend.cli, redis, secrets, of_the_user; print('ok')", PYTHONPATH=f"{tmp_path}:") == ["ok"]


def test_the_command_starts_in_a_folder_of_somebody_elses_project(tmp_path: Path) -> None:
    fill_with_others_files(tmp_path)
    (tmp_path / "sitecustomize.py").unlink()
    done = subprocess.run(
        [str(Path(sys.executable).parent / "coffee"), "--help"],
        cwd=tmp_path,
        env={**os.environ, **HOSTILE, "PYTHONPATH": f"{tmp_path}:", "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "Ways to take an order" in done.stdout
