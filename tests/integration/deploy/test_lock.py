"""The images' requirements are the project's resolution, whole and hashed."""

import os
import re
import subprocess
from pathlib import Path

import pytest

from tests.integration.deploy.compose import ROOT

IMAGES = ("app", "flink", "tui")


def committed(image: str) -> str:
    return (ROOT / "docker" / image / "requirements.txt").read_text(encoding="utf-8")


def test_they_are_what_the_lock_makes_of_the_resolution(tmp_path: Path) -> None:
    for image in IMAGES:
        (tmp_path / image).mkdir()
    subprocess.run([ROOT / "docker" / "lock"], env={**os.environ, "OUT": str(tmp_path)}, check=True)
    for image in IMAGES:
        made = (tmp_path / image / "requirements.txt").read_text(encoding="utf-8")
        assert made == committed(image), f"run docker/lock: the requirements of {image} are out of date"


@pytest.mark.parametrize("image", IMAGES)
def test_every_requirement_has_a_hash_and_none_an_address(image: str) -> None:
    entries = re.split(r"\n(?=\S)", committed(image).strip())[1:]
    assert len(entries) > 20
    for entry in entries:
        assert re.match(r"[a-z0-9._-]+==\S+", entry), entry
        assert "--hash=sha256:" in entry, entry
    assert "://" not in committed(image)
