"""The page of threats names tests that exist."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[4]


def test_every_test_that_the_threats_name_exists() -> None:
    rows = [row for row in (ROOT / "docs" / "threats.md").read_text("utf-8").splitlines() if row.startswith("| ")]
    files = (ROOT / "tests").rglob("test_*.py")
    there = {
        name
        for file in files
        for name in re.findall(r"^(?:async )?def (test_\w+)", file.read_text("utf-8"), re.MULTILINE)
    }
    assert len(rows) > 20
    for row in rows[2:]:
        named = set(re.findall(r"`(test_\w+)`", row))
        assert named, row
        assert named <= there, named - there
