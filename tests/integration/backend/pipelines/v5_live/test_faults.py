"""v5's own faults strike what they say, and leave nothing behind."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import asyncpg
import pytest
from redis.asyncio import Redis

from backend.clients.daemon import Database
from backend.pipelines.v5_live.faults import hold_snapshot, lose_notify
from backend.pipelines.v5_live.projector import METRICS
from coffee_core.load.orders import Attempt
from coffee_core.pipelines import Pipeline
from coffee_core.settings import Settings
from tests.integration.backend.pipelines.v5_live.orders import place
from tests.integration.daemons import daemon, log_of
from tests.waiting import until

LISTENING = "select count(*) from pg_stat_activity where application_name = 'live-projector'"


@dataclass
class Strike:
    """Where a fault strikes: settings alone, without a lab."""

    settings: Settings
    lasts_s: float = 0.2
    strikes: list[bool] = field(default_factory=list)

    @property
    def struck(self) -> Callable[[], None]:
        return lambda: self.strikes.append(True)

    def first_accepted(self, pipeline: Pipeline) -> Attempt | None:
        raise AssertionError(f"nothing is put into a log of {pipeline}")

    async def still_down(self) -> str:
        return ""


async def test_the_session_that_listens_is_ended_and_what_is_committed_is_shown(
    tmp_path: Path, settings: Settings, database_url: str, redis_url: str, connection: Database, client: Redis
) -> None:
    async with daemon("backend.pipelines.v5_live.projector", tmp_path, database_url, redis_url):
        await until(lambda: connection.fetchval(LISTENING))
        strike = Strike(settings)
        effect = await lose_notify(strike)
        assert strike.strikes == [True]
        assert "ended the session that listens 0 times" not in effect.what
        await place(connection, 5)

        async def shows() -> bool:
            return (await client.get(METRICS.total_orders)) == "5"

        await until(shows)
        await until(lambda: "works again" in log_of(tmp_path))


async def test_a_held_snapshot_keeps_dead_rows_until_it_ends(
    settings: Settings, connection: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fill(_seconds: float) -> None:
        for _ in range(100):
            await place(connection, hot=True)
        assert await connection.fetchval(oldest) is not None

    oldest = "select min(age(backend_xmin)) from pg_stat_activity where state = 'idle in transaction'"
    monkeypatch.setattr("backend.pipelines.v5_live.faults.asyncio.sleep", fill)
    effect = await hold_snapshot(Strike(settings))
    before, after = (int(word) for word in effect.what.split() if word.isdigit())
    assert after > before
    await until(lambda: _gone(connection, oldest))


async def _gone(connection: "asyncpg.Connection[asyncpg.Record]", query: str) -> bool:
    return await connection.fetchval(query) is None
