"""Where the submitter finds what to continue from: a folder, or what it has kept of Flink's answers in Redis."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from redis.asyncio import Redis

from coffee_core.settings import Settings
from flink.checkpoint_store import RECORDED, FolderCheckpoints, RecordedCheckpoints, checkpoint_store
from flink.checkpoints import checkpoints_uri
from flink.rest import FlinkRest

JOB = "a" * 32


@asynccontextmanager
async def rest(latest: dict[str, Any]) -> AsyncIterator[FlinkRest]:
    """Speak to what answers with this as a JobManager does."""

    async def checkpoints(_request: web.Request) -> web.Response:
        return web.json_response({"latest": latest})

    application = web.Application()
    application.router.add_get(f"/jobs/{JOB}/checkpoints", checkpoints)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    client = FlinkRest(f"http://127.0.0.1:{runner.addresses[0][1]}")
    try:
        yield client
    finally:
        await client.close()
        await runner.cleanup()


def done(number: int, uri: str) -> dict[str, Any]:
    return {"id": number, "external_path": uri}


async def test_a_job_without_a_checkpoint_leaves_nothing(client: Redis) -> None:
    async with rest({"completed": None, "savepoint": None}) as flink:
        recorded = RecordedCheckpoints(flink, client)
        await recorded.note_completed("1", JOB)
        assert await recorded.newest("1", ()) is None


async def test_a_job_that_never_began_leaves_nothing_either(client: Redis) -> None:
    async with rest({}) as flink:
        await RecordedCheckpoints(flink, client).note_completed("1", "b" * 32)
        assert await client.exists(RECORDED) == 0


async def test_the_last_three_are_recorded_and_the_newest_not_refused_counts(client: Redis) -> None:
    latest: dict[str, Any] = {}
    async with rest(latest) as flink:
        recorded = RecordedCheckpoints(flink, client)
        for number in range(1, 6):
            latest["completed"] = done(number, f"s3://b/chk-{number}")
            await recorded.note_completed("1", JOB)
            await recorded.note_completed("1", JOB)
        assert await recorded.newest("1", ()) == "s3://b/chk-5"
        assert await recorded.newest("1", {"s3://b/chk-5"}) == "s3://b/chk-4"
        assert await recorded.newest("1", {f"s3://b/chk-{number}" for number in (3, 4, 5)}) is None


async def test_what_cannot_be_removed_is_logged_once_and_harms_nobody(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    settings = Settings.from_env({"COFFEE_HOME": str(tmp_path)})
    folder = Path(checkpoints_uri(settings, "1").removeprefix("file://"))
    (folder / JOB / "chk-1").mkdir(parents=True)
    (folder / JOB / "chk-1" / "_metadata").touch()
    # No folder, and yet named like that of an earlier job.
    (folder / ("b" * 32)).touch()
    store = FolderCheckpoints(settings)
    for _ in range(2):
        await store.note_completed("1", JOB)
    assert caplog.text.count("cannot be removed") == 1


async def test_a_savepoint_counts_where_it_is_the_last(client: Redis) -> None:
    async with rest({"completed": done(7, "s3://b/chk-7"), "savepoint": done(8, "s3://b/savepoint-1")}) as flink:
        recorded = RecordedCheckpoints(flink, client)
        await recorded.note_completed("1", JOB)
        assert await recorded.newest("1", ()) == "s3://b/savepoint-1"


async def test_another_epoch_begins_with_nothing(client: Redis) -> None:
    async with rest({"completed": done(7, "s3://b/chk-7")}) as flink:
        recorded = RecordedCheckpoints(flink, client)
        await recorded.note_completed("1", JOB)
        assert await recorded.newest("2", ()) is None


@pytest.mark.parametrize(
    ("uri", "kind"),
    [
        ("", FolderCheckpoints),
        ("file:///var/checkpoints", FolderCheckpoints),
        ("s3://bucket/checkpoints", RecordedCheckpoints),
    ],
)
async def test_the_scheme_decides(tmp_path: Path, client: Redis, uri: str, kind: type) -> None:
    settings = Settings.from_env({"COFFEE_HOME": str(tmp_path), "COFFEE_FLINK_CHECKPOINTS": uri})
    async with rest({}) as flink:
        assert isinstance(checkpoint_store(settings, flink, client), kind)
