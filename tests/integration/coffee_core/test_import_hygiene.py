"""What must start quickly, or run without the lab, imports only what it needs."""

import subprocess
import sys

import pytest

LAB = ("alembic", "aiokafka", "asyncpg", "pyflink", "sqlalchemy", "starlette", "uvicorn", "msgspec", "honcho")


def _imported_by(statement: str) -> set[str]:
    code = f"{statement}\nimport sys\nprint(*(name.split('.')[0] for name in sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


@pytest.mark.parametrize(
    ("statement", "forbidden"),
    [
        (
            "import coffee_core.settings, coffee_core.totals",
            (*LAB, "textual", "redis", "aiohttp"),
        ),
        (
            "import coffee_tui.__main__, coffee_tui.app",
            (*LAB, "redis", "aiohttp"),
        ),  # on screen before all of it
        ("import coffee_tui.data", (*LAB, "textual")),
        ("import backend.cli.main", (*LAB, "textual", "redis", "aiohttp")),
        ("import backend.cli.stack", ("asyncio", "psutil", "redis", "asyncpg", "textual", "aiohttp")),
        (
            "import backend.stack.run",
            ("click", "psutil", "redis", "asyncpg", "aiohttp", "jgo", "pyflink", "rich"),
        ),
        ("import backend.stack.up", ("asyncio", "psutil", "redis", "asyncpg", "textual", "jgo")),
        ("import backend.api.__main__", ("yaml",)),
        ("import flink.rest", ("aiohttp", "redis", "pyflink")),
        ("import backend.stack.wrapper", ("alembic", "pyflink", "sqlalchemy", "starlette", "uvicorn", "textual")),
    ],
)
def test_imports_stay_where_they_belong(statement: str, forbidden: tuple[str, ...]) -> None:
    assert not _imported_by(statement) & set(forbidden)
