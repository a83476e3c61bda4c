"""Runs a .sql file from within a migration."""

from importlib.resources import files
from typing import Any

from alembic import op


def run_script(name: str) -> None:
    """Execute a file of ``backend/db/sql`` with all of its statements, in the transaction of the migration."""
    text = (files("backend.db") / "sql" / name).read_text(encoding="utf-8")
    # Past SQLAlchemy, by asyncpg itself: PostgreSQL cannot prepare several statements at once, but execute them.
    connection: Any = op.get_bind().connection.dbapi_connection
    connection.run_async(lambda driver: driver.execute(text))
