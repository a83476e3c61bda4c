"""A drink more, as docs/menu.md has it, on a copy of the project; and what the older program then says."""

import asyncio
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import asyncpg
import pytest

from tests.database import connected

ROOT = Path(__file__).parents[4]
PACKAGES = ("coffee_core", "backend", "flink")
INSERT = """
    insert into orders (version, message_id, drink, store, price_cents, ordered_at, accepted_at, source_id)
    values ('v1', gen_random_uuid(), $1, 'uptown', 500, now(), now(), '')
"""
LOOK = """
from flink.checkpoints import checkpoints_uri
from coffee_core.settings import Settings
from flink.statements import statement, values
settings = Settings.from_env({})
print(checkpoints_uri(settings, "1"))
filled = [statement(name, values(settings)) for name in ("tally", "validated_orders")]
print(*(text.count("mocha") for text in filled))
"""


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The project, changed by the blocks of the page."""
    for package in PACKAGES:
        shutil.copytree(ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    page = (ROOT / "docs" / "menu.md").read_text(encoding="utf-8")
    menu, sql, migration = re.findall(r"```(?:python|sql)\n(.*?)```", page, flags=re.DOTALL)
    path = tmp_path / "coffee_core" / "menu.py"
    changed, count = re.subn(r"DRINKS: .*\n", menu, path.read_text(encoding="utf-8"))
    assert count == 1
    path.write_text(changed, encoding="utf-8")
    for name, text in zip(re.findall(r"`(backend/db/\S+)`:", page), (sql, migration), strict=True):
        (tmp_path / name).write_text(text, encoding="utf-8")
    return tmp_path


def run(project: Path, *arguments: str, **environ: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-W", "error", *arguments],
        cwd=project,
        env={**os.environ, "PYTHONPATH": str(project), **environ},
        capture_output=True,
        text=True,
        check=False,
    )


async def test_a_drink_is_added_and_the_older_program_then_refuses(copy: Path, database_url: str) -> None:
    async with connected(database_url) as connection:
        await connection.execute(INSERT, "latte")
        with pytest.raises(asyncpg.CheckViolationError):
            await connection.execute(INSERT, "mocha")
        migrated = await asyncio.to_thread(run, copy, "-m", "backend.db", DATABASE_URL=database_url)
        assert migrated.returncode == 0, migrated.stderr
        await connection.execute(INSERT, "mocha")
        with pytest.raises(asyncpg.CheckViolationError):
            await connection.execute(INSERT, "tea")
        stored = "select drink, count(*) from orders group by 1 order by 1"
        assert [tuple(row) for row in await connection.fetch(stored)] == [("latte", 1), ("mocha", 1)]
        older = await asyncio.to_thread(run, ROOT, "-m", "backend.db", DATABASE_URL=database_url)
        assert older.returncode == 1
        assert older.stderr.count("\n") == 1
        assert "0005" in older.stderr
        assert [tuple(row) for row in await connection.fetch(stored)] == [("latte", 1), ("mocha", 1)]


def test_the_job_counts_it_and_finds_no_state_of_the_menu_before(copy: Path) -> None:
    before, after = (run(project, "-c", LOOK) for project in (ROOT, copy))
    assert (before.returncode, after.returncode) == (0, 0), before.stderr + after.stderr
    folder_before, in_sql_before = before.stdout.splitlines()
    folder_after, in_sql_after = after.stdout.splitlines()
    assert folder_before != folder_after
    assert in_sql_before == "0 0"
    assert in_sql_after == "4 1"
