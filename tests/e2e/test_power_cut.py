"""The power is cut under load: what was acknowledged is there, for it was synced before."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from backend.stack.places import fuse_obstacle


@pytest.mark.slow
@pytest.mark.skipif(bool(fuse_obstacle()), reason=fuse_obstacle() or "FUSE is there")
def test_nothing_acknowledged_is_lost_with_the_power(tmp_path: Path) -> None:
    env = {name: value for name, value in os.environ.items() if not name.startswith("COFFEE_")}
    words = ("chaos", "power-cut", "--pipeline", "v1,v2", "--rate", "60", "--torn", "1", "--json")
    done = subprocess.run(
        [sys.executable, "-m", "backend.cli", *words],
        env=env | {"COFFEE_HOME": str(tmp_path / "home")},
        capture_output=True,
        text=True,
        timeout=250,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    told = json.loads(done.stdout)
    assert told["kept"]
    for cell in told["cells"]:
        assert cell["accepted"] > 60, cell
        assert (cell["lost"], cell["duplicated"], cell["drift"]["orders"]) == ([], [], 0), cell
    assert not list((tmp_path / "home").glob("coffee-*"))
