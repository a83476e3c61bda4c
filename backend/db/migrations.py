"""Brings the schema of a database up to the newest revision."""

from pathlib import Path

import asyncpg

from backend.clients.postgres import BROKEN
from coffee_core.errors import CoffeeError, StackError
from coffee_core.pipelines import PIPELINES
from coffee_core.resources import sql
from coffee_core.server_urls import PostgresUrl

PACKAGE = Path(__file__).parent
"""Folder with ``env.py``, ``versions/`` and ``sql/``."""

HEAD = max(path.name.split("_", 1)[0] for path in (PACKAGE / "versions").glob("[0-9]*_*.py"))
"""The newest revision, read from the file names: asking Alembic would mean importing it."""

_LOCK_ID = 0x636F66666565
"""Key of the advisory lock that lets one process migrate at a time ("coffee" in ASCII)."""


async def current_revision(database_url: str) -> str | None:
    """Return the revision of the database, or None where it has never been migrated.

    Raises asyncpg's and the operating system's errors where it cannot be asked.
    """
    PostgresUrl.parse(database_url).require_files()
    connection = await asyncpg.connect(database_url)
    try:
        if await connection.fetchval("select to_regclass('alembic_version')") is None:
            return None
        revision: str | None = await connection.fetchval("select version_num from alembic_version")
        return revision
    finally:
        await connection.close()


async def is_current(database_url: str) -> bool:
    """Tell whether ``migrate`` would find nothing to do; no, where the database cannot be asked."""
    try:
        return not _schemas() and await current_revision(database_url) == HEAD
    except (CoffeeError, ValueError, *BROKEN):
        return False  # what is wrong is told by whoever migrates


async def migrate(database_url: str) -> None:
    """Apply what is missing, in one transaction; safe when several processes do so at once.

    Raises StackError where the database has a revision that this program does not know, and asyncpg's errors.
    """
    revision = await current_revision(database_url)
    if revision is not None and revision > HEAD:
        raise StackError(
            f"the database is at revision {revision}, this program knows {HEAD} and older: update coffee-rt"
        )
    if revision != HEAD:
        await _upgrade(database_url)
    await _make_schemas(database_url)


async def _make_schemas(database_url: str) -> None:
    """Make what the rows of pipelines need that the migrations do not know."""
    statements = _schemas()
    if not statements:
        return
    connection = await asyncpg.connect(database_url)
    try:
        async with connection.transaction():
            await connection.execute("select pg_advisory_xact_lock($1)", _LOCK_ID)
            for statement in statements:
                await connection.execute(statement)
    finally:
        await connection.close()


def _schemas() -> list[str]:
    return [sql(pipeline.info.package, pipeline.info.schema) for pipeline in PIPELINES if pipeline.info.schema]


async def _upgrade(database_url: str) -> None:
    # Imported here: they take some 300 ms, which a start with nothing to apply need not pay.
    from alembic import command
    from alembic.config import Config
    from sqlalchemy import Connection, text
    from sqlalchemy.ext.asyncio import create_async_engine
    from sqlalchemy.pool import NullPool

    def upgrade(connection: Connection) -> None:
        config = Config()
        config.set_main_option("script_location", str(PACKAGE).replace("%", "%%"))
        config.attributes["connection"] = connection
        command.upgrade(config, "head")

    engine = create_async_engine(
        "postgresql+asyncpg://", async_creator=lambda: asyncpg.connect(database_url), poolclass=NullPool
    )
    try:
        async with engine.begin() as connection:
            # Held until the commit: who waited here finds nothing left to apply.
            await connection.execute(text("select pg_advisory_xact_lock(:id)"), {"id": _LOCK_ID})
            await connection.run_sync(upgrade)
    finally:
        await engine.dispose()
