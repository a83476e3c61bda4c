"""``python -m backend.db``: migrate the database of the settings (``DATABASE_URL``, or the embedded one)."""

import asyncio
import sys

from backend.clients.postgres import BROKEN
from backend.db.migrations import HEAD, current_revision, migrate
from coffee_core.errors import CoffeeError
from coffee_core.settings import Settings


async def _run() -> str:
    url = Settings.attach().database_url
    before = await current_revision(url)
    await migrate(url)
    return f"the schema is at revision {HEAD}" + ("" if before == HEAD else f" (it was at {before or 'none'})")


def main() -> int:
    """Return the exit code: 0 where the schema is at the newest revision, else 1 with one line on stderr."""
    try:
        print(asyncio.run(_run()))  # noqa: T201
    except (CoffeeError, *BROKEN) as error:
        print(f"cannot migrate: {error}", file=sys.stderr)  # noqa: T201
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
