"""``./coffee`` of a clone: brings uv where there is none, keeps arguments and exit code, says what is missing.

The clone is a small one: the script with a project whose ``coffee`` prints what it was called with.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.integration.deploy.compose import ROOT

PROJECT = """\
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"
[project]
name = "clone"
version = "1"
requires-python = ">=3.11"
[project.optional-dependencies]
lab = []
[project.scripts]
coffee = "clone:main"
[dependency-groups]
arm64 = []
dev = ["six"]
"""
PROGRAM = """\
import os, sys
def main():
    print(sys.argv[1:], os.getcwd())
    sys.exit(7)
"""
TOOLS = ("cat", "cut", "dirname", "du", "grep", "ln", "mkdir", "readlink", "rm", "sed", "sh", "tail")


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A clone in a folder with a space and an é in its name."""
    folder = tmp_path / "a clone é"
    folder.mkdir()
    shutil.copy(ROOT / "coffee", folder)
    (folder / "pyproject.toml").write_text(PROJECT, encoding="utf-8")
    (folder / "clone.py").write_text(PROGRAM, encoding="utf-8")
    return folder


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    """A folder with what every Unix has, and no Python and no uv: a PATH of its own."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in TOOLS:
        found = shutil.which(name)
        assert found is not None
        (folder / name).symlink_to(found)
    return folder


def called(script: Path, cwd: Path, **env: str) -> "subprocess.CompletedProcess[str]":
    variables: Mapping[str, str] = {**os.environ, **env}
    command = [script, "audit", "--note", "two words", ""]
    return subprocess.run(command, cwd=cwd, env=variables, check=False, capture_output=True, text=True)


def answer(cwd: Path) -> str:
    return f"['audit', '--note', 'two words', ''] {cwd}\n"


def test_arguments_folder_and_exit_code_are_those_of_coffee(clone: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "cafe").symlink_to(clone / "coffee")
    hostile = {"PYTHONHOME": "/nowhere", "PYTHONPATH": "/nowhere", "VIRTUAL_ENV": "/nowhere"}
    first = called(elsewhere / "cafe", elsewhere, **hostile)
    assert (first.returncode, first.stdout) == (7, answer(elsewhere)), first.stderr
    assert "coffee: installed 1 packages" in first.stderr, "not the tools of its developers"
    again = called(clone / "coffee", elsewhere)
    assert (again.returncode, again.stdout, again.stderr) == (7, answer(elsewhere), "")


def test_uv_trusts_whom_the_machine_trusts(clone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SSL_CERT_FILE", "SSL_CERT_DIR", "UV_SYSTEM_CERTS", "UV_NATIVE_TLS"):
        monkeypatch.delenv(name, raising=False)
    found = called(clone / "coffee", clone, UV_NO_CACHE="1")
    assert (found.returncode, found.stdout) == (7, answer(clone)), found.stderr


def test_where_there_is_no_uv_a_python_brings_it(clone: Path, programs: Path) -> None:
    (programs / "python3").symlink_to(os.path.realpath(sys.executable))
    found = called(clone / "coffee", clone, PATH=str(programs), HOME="/nonexistent", XDG_CACHE_HOME="/dev/null/no")
    assert (found.returncode, found.stdout) == (7, answer(clone)), found.stderr
    assert (clone / ".uv" / "bin" / "uv").exists()
    assert (clone / ".uv" / "cache" / "uv").is_dir(), "uv's cache, where its usual place cannot be written to"


def test_without_uv_and_python_one_line_says_what_to_install(clone: Path, programs: Path) -> None:
    found = called(clone / "coffee", clone, PATH=str(programs), HOME="/nonexistent")
    assert (found.returncode, found.stdout) == (1, "")
    last = found.stderr.splitlines()[-1]
    assert last.startswith("coffee: no uv, and no Python here can install it: install python3-venv")
