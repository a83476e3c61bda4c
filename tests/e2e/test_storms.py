"""Storms of fresh seeds, on the servers that start in seconds: exact, whatever comes together."""

import json
import os
import secrets
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from tests.waiting import until_sync

pytestmark = pytest.mark.slow


def command(home: Path, seed: int, *words: str) -> tuple[list[str], dict[str, str]]:
    """Return what runs a storm in a home, and its environment."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("COFFEE_")}
    chaos = [sys.executable, "-m", "backend.cli", "chaos", "--storm", str(seed), "--rate", "60"]
    return [*chaos, *words], env | {"COFFEE_HOME": str(home)}


@pytest.mark.parametrize("_turn", range(3))
def test_a_storm_of_a_fresh_seed_is_exact(tmp_path: Path, _turn: int) -> None:
    home = tmp_path / "home"
    words = ("--for", "20", "--pipeline", "v1,v2,v5", "--json")
    line, env = command(home, secrets.randbelow(1_000_000), *words)
    done = subprocess.run(line, env=env, capture_output=True, text=True, timeout=290, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    told = json.loads(done.stdout)
    assert told["smallest"] is None
    assert len(told["cells"]) == 3
    for cell in told["cells"]:
        assert cell["accepted"] > 60, cell
    assert [path.name for path in home.iterdir()] == ["evidence"]


def test_an_interrupted_storm_leaves_nothing_behind(tmp_path: Path) -> None:
    home = tmp_path / "home"
    line, env = command(home, 1, "--for", "60", "--pipeline", "v1")
    with subprocess.Popen(line, env=env, stderr=subprocess.PIPE, text=True) as running:
        assert running.stderr is not None
        for said in running.stderr:
            if said.endswith("storm-1: now\n"):
                break
        running.send_signal(signal.SIGINT)
        _, said = running.communicate(timeout=120)
    assert running.returncode == 1, said
    assert said.endswith("interrupted: nothing was compared\n")
    assert [path.name for path in home.iterdir()] == ["evidence"]
    until_sync(lambda: not [each for each in psutil.process_iter(["environ"]) if is_in(each, home)])


def is_in(process: psutil.Process, home: Path) -> bool:
    """Tell whether a process belongs to a stack in this home."""
    return str(home) in ((process.info["environ"] or {}).get("COFFEE_HOME") or "")
