"""Storms of fresh seeds, on the servers that start in seconds: exact, whatever comes together."""

import json
import os
import secrets
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow


def storm(home: Path, *words: str) -> subprocess.CompletedProcess[str]:
    env = {name: value for name, value in os.environ.items() if not name.startswith("COFFEE_")}
    return subprocess.run(
        [sys.executable, "-m", "backend.cli", "chaos", "--storm", *words, "--rate", "60", "--json"],
        env=env | {"COFFEE_HOME": str(home)},
        capture_output=True,
        text=True,
        timeout=290,
        check=False,
    )


@pytest.mark.parametrize("_turn", range(3))
def test_a_storm_of_a_fresh_seed_is_exact(tmp_path: Path, _turn: int) -> None:
    home = tmp_path / "home"
    done = storm(home, str(secrets.randbelow(1_000_000)), "--for", "20", "--pipeline", "v1,v2,v5")
    assert done.returncode == 0, done.stdout + done.stderr
    told = json.loads(done.stdout)
    assert told["smallest"] is None
    assert len(told["cells"]) == 3
    for cell in told["cells"]:
        assert cell["accepted"] > 60, cell
    assert [path.name for path in home.iterdir()] == ["evidence"]
