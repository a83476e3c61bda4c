"""Data of another version: refused in one line, and left as it is."""

from pathlib import Path

import pytest

from backend.stack import postgres
from coffee_core.errors import StackError
from coffee_core.settings import Settings
from tests.servers import free_port, run, serving


def _contents(folder: Path) -> dict[Path, tuple[int, int, bytes]]:
    return {
        path: (path.stat().st_mode, path.stat().st_uid, path.read_bytes() if path.is_file() else b"")
        for path in folder.rglob("*")
    }


def test_a_newer_postgres_made_the_folder(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path / "home", postgres_port=free_port())
    with serving(postgres.part(settings), settings, tmp_path / "log"):
        pass
    data = settings.home / "postgres"
    (data / "PG_VERSION").write_text("19\n", encoding="ascii")
    before = _contents(data)
    with pytest.raises(StackError, match="is of PostgreSQL 19, this program has 18"):
        run(postgres.part(settings).prepare)
    assert _contents(data) == before


def test_the_version_here_is_that_of_the_program(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path / "home", postgres_port=free_port())
    run(postgres.part(settings).prepare)
    assert (settings.home / "postgres" / "PG_VERSION").read_text(encoding="ascii").strip() == postgres._MAJOR
