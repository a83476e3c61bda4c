"""The power is cut under load: what was acknowledged is there, for it was synced before."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from backend.stack.places import fuse_obstacle


def cut(pipelines: str, home: Path, *more: str) -> list[dict[str, Any]]:
    """Cut the power under load; return what became of each pipeline."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("COFFEE_")}
    words = ("chaos", "power-cut", "--pipeline", pipelines, "--rate", "60", "--json", *more)
    done = subprocess.run(
        [sys.executable, "-m", "backend.cli", *words],
        env=env | {"COFFEE_HOME": str(home)},
        capture_output=True,
        text=True,
        timeout=250,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    told = json.loads(done.stdout)
    assert told["kept"]
    cells: list[dict[str, Any]] = told["cells"]
    return cells


@pytest.mark.slow
@pytest.mark.skipif(bool(fuse_obstacle()), reason=fuse_obstacle() or "FUSE is there")
def test_nothing_acknowledged_is_lost_with_the_power(tmp_path: Path) -> None:
    for cell in cut("v1,v2", tmp_path / "home", "--torn", "1"):
        assert cell["accepted"] > 60, cell
        assert (cell["lost"], cell["duplicated"], cell["drift"]["orders"]) == ([], [], 0), cell
    assert not list((tmp_path / "home").glob("coffee-*"))


@pytest.mark.slow
@pytest.mark.skipif(bool(fuse_obstacle()), reason=fuse_obstacle() or "FUSE is there")
def test_what_a_topic_loses_with_the_power_the_audit_knows(tmp_path: Path) -> None:
    for cell in cut("v3,v4", tmp_path / "home"):
        assert cell["accepted"] > 60, cell
        assert cell["duplicated"] == [], cell
        assert len(cell["lost"]) <= cell["audited_lost"], cell
        assert cell["audited_lost"], "nothing was synced: what was acknowledged of late is gone"
