"""Processes that make a password at once agree on one."""

import subprocess
import sys
from pathlib import Path

from coffee_core.passwords import FOLDER, read_password

MAKE = (
    "import sys, pathlib, coffee_core.passwords as p; print(p.make_password(pathlib.Path(sys.argv[1]), 'redis'))"
)


def test_processes_that_make_one_at_once_agree(tmp_path: Path) -> None:
    makers = [
        subprocess.Popen([sys.executable, "-c", MAKE, str(tmp_path)], stdout=subprocess.PIPE, text=True)
        for _ in range(6)
    ]
    said = {maker.communicate()[0].strip() for maker in makers}
    assert said == {read_password(tmp_path, "redis")}
    assert [path.name for path in (tmp_path / FOLDER).iterdir()] == ["redis"]
