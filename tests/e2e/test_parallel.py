"""Several workers, several slots, several partitions: the same results, cent by cent."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest

from backend.clients.kafka import open_logs
from coffee_core.keys import TOPIC
from coffee_core.pipelines import Pipeline
from coffee_core.pipelines.constants import V2, V3
from tests.e2e.flink_rest import active_taskmanager, slots_in_use
from tests.e2e.lab import Lab
from tests.e2e.truth import expected_rows, mixed_attempts, post_all, shown_totals, stored_rows, stored_totals
from tests.integration.daemons import daemon, log_of
from tests.waiting import until

PARTITIONS, SLOTS = 6, 2
ORDERS = 600
BATCH = "20"


pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def wide_lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """A lab whose v3 runs in two slots on six partitions, and whose workers take small batches."""
    lab = Lab(
        tmp_path_factory.mktemp("a wide lab") / "coffee home",
        "v1,v2,v3",
        COFFEE_TOPIC_PARTITIONS=str(PARTITIONS),
        COFFEE_FLINK_PARALLELISM=str(SLOTS),
        COFFEE_WORKER_BATCH_ORDERS=BATCH,
    )
    with lab.running():
        yield lab


async def load_and_compare(lab: Lab, pipeline: Pipeline, seed: int, kill: int | None = None) -> None:
    """Post mixed orders, half-way through kill a process, and compare every row and every total."""
    before = await shown_totals(lab.settings, pipeline)
    attempts = mixed_attempts(pipeline, ORDERS, seed)
    expected = expected_rows(attempts)

    async def at_half() -> None:
        if kill is not None:
            os.kill(kill, signal.SIGKILL)

    await post_all(lab.settings, pipeline, attempts, at_half)

    async def agrees() -> bool:
        shown = await shown_totals(lab.settings, pipeline)
        return shown.orders >= before.orders + len(expected) and shown == await stored_totals(
            lab.settings, pipeline
        )

    await until(agrees, within_s=120)
    assert (await shown_totals(lab.settings, pipeline)).orders == before.orders + len(expected)
    assert await stored_rows(lab.settings, pipeline, [attempt.key for attempt in attempts]) == expected
    audited = await asyncio.to_thread(lab.coffee, "audit", "--pipelines", str(pipeline))
    assert audited.returncode == 0, audited.stdout


@asynccontextmanager
async def workers(lab: Lab, home: Path, more: int) -> AsyncIterator[list[asyncio.subprocess.Process]]:
    """Run this many stream workers beside the lab's own, once all of them are ready."""
    urls = (lab.settings.database_url, lab.settings.redis_url)
    async with AsyncExitStack() as stack:
        processes = []
        for each in range(more):
            environ = {"COFFEE_WORKER_NAME": f"extra-{each}", "COFFEE_WORKER_BATCH_ORDERS": BATCH}
            running = daemon("backend.pipelines.v2_streams.worker", home / str(each), *urls, **environ)
            processes.append(await stack.enter_async_context(running))
        await until(lambda: all("ready" in log_of(home / str(each)) for each in range(more)), within_s=120)
        yield processes


async def test_two_stream_workers(wide_lab: Lab, tmp_path: Path) -> None:
    async with workers(wide_lab, tmp_path, 1):
        await load_and_compare(wide_lab, V2, seed=61)


async def test_three_stream_workers_of_which_one_is_killed(wide_lab: Lab, tmp_path: Path) -> None:
    async with workers(wide_lab, tmp_path, 2) as processes:
        await load_and_compare(wide_lab, V2, seed=62, kill=processes[0].pid)


async def test_two_slots_read_six_partitions(wide_lab: Lab) -> None:
    await load_and_compare(wide_lab, V3, seed=63)
    async with open_logs(wide_lab.settings) as logs:
        bounds = await logs.bounds(TOPIC)
    assert set(bounds) == set(range(PARTITIONS))
    assert all(last > first for first, last in bounds.values())
    assert await slots_in_use(wide_lab.settings) == SLOTS


async def test_two_slots_of_a_taskmanager_that_is_killed(wide_lab: Lab) -> None:
    name = await active_taskmanager(wide_lab.settings)
    await load_and_compare(wide_lab, V3, seed=64, kill=wide_lab.pid_of(name))
