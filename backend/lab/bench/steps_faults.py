"""Steps of the bench that take a worker away: kills under load, and backlogs that are drained."""

import asyncio
import json
import os
import random
import signal
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiokafka import AIOKafkaProducer

from backend.clients.daemon import open_redis
from backend.lab.bench.figures import HIGHER
from backend.lab.bench.harness import Cell, NotSettledError, Rig
from backend.lab.chaos.faults import WORKING_TASK_MANAGER
from backend.lab.chaos.restorer import frozen
from backend.lab.chaos.site import NotReadyError, Site
from backend.stack.log_files import open_log
from backend.stack.polling import poll
from coffee_core.clock import now_us
from coffee_core.ids import new_message_id
from coffee_core.keys import STREAM, TOPIC
from coffee_core.load.schedule import Shape
from coffee_core.menu import DRINKS, STORES
from coffee_core.order import Order
from coffee_core.parent_death_signal import dies_with_parent
from coffee_core.pipelines import Pipeline
from coffee_core.pipelines.constants import V1, V2, V3
from coffee_core.runstate import READY_FILE
from coffee_core.settings import Settings
from flink.rest import FlinkOperationError, FlinkRest, Job

# Puts orders straight into a log, while nobody works on it: the API would be the bottleneck.


_AT_ONCE = 1_000
_MAX_BATCH_BYTES = 256 * 1024


async def fill_stream(settings: Settings, orders: int) -> None:
    """Add so many orders to the stream of v2. Raises RedisError."""
    async with open_redis(settings.redis_url) as client:
        for first in range(0, orders, _AT_ONCE):
            pipe = client.pipeline(transaction=False)
            for _ in range(min(_AT_ONCE, orders - first)):
                fields: dict[Any, Any] = dict(_order().to_fields())
                pipe.xadd(STREAM, fields)
            await pipe.execute()


async def fill_topic(settings: Settings, orders: int) -> None:
    """Add so many orders to the topic of v3. Raises KafkaError."""
    producer = AIOKafkaProducer(
        bootstrap_servers=settings.kafka_servers,
        acks="all",
        enable_idempotence=True,
        max_batch_size=_MAX_BATCH_BYTES,
    )
    await producer.start()
    try:
        for first in range(0, orders, _AT_ONCE):
            sent = []
            for _ in range(min(_AT_ONCE, orders - first)):
                order = _order()
                key, value = str(order.message_id).encode(), json.dumps(order.to_fields()).encode()
                sent.append(await producer.send(TOPIC, value, key))
            await asyncio.gather(*sent)
    finally:
        await producer.stop()


def _order() -> Order:
    now = now_us()
    drink, store = random.choice(DRINKS), random.choice(STORES)
    return Order(new_message_id(), drink, store, random.randrange(250, 650), now, now)


_UP_WITHIN_S = 120.0
_DRAIN_WITHIN_S = 300.0
_BEFORE_S = 2.0
_WARM_S = 4.0
_STEP_S = 0.05
_FLINK_TIMEOUT_S = 60.0
PROCESSOR = {V1: V1.info.processor, V2: V2.info.processor, V3: WORKING_TASK_MANAGER}
"""What works on each pipeline's orders."""


@dataclass(slots=True)
class FlowPicture:
    """Orders accepted and visible over time, with the moments of the faults; for a picture."""

    cells: list[Cell] = field(default_factory=list)
    kills: dict[Pipeline, tuple[float, str]] = field(default_factory=dict)
    """Pipeline → when its processor was killed (monotonic seconds), and its name."""


async def kills(rig: Rig, picture: FlowPicture) -> None:
    """Kill the processor of each pipeline in turn, under load; measure for how long its dashboard stood still."""
    site = Site(rig.settings)
    if V3 in rig.pipelines:
        # A job that has just drained a backlog would, without a checkpoint since, have to drain it once more.
        await _checkpoint(rig.settings.flink_rest_url)
    length_s = _BEFORE_S + rig.size.fault_s * len(rig.pipelines)
    loading = asyncio.create_task(rig.load("kills", rig.pipelines, Shape(rig.size.fault_rate), length_s))
    await asyncio.sleep(_BEFORE_S)
    try:
        # v3 first: it takes longest to come back, and the others may be watched meanwhile.
        for pipeline in reversed(rig.pipelines):
            part = await site.find(PROCESSOR[pipeline])
            assert part.pid is not None
            picture.kills[pipeline] = (time.monotonic(), part.name)
            os.kill(part.pid, signal.SIGKILL)
            await asyncio.sleep(rig.size.fault_s)
    finally:
        picture.cells = await loading
    await site.all_up(_UP_WITHIN_S)
    await rig.settle(rig.pipelines)
    for cell in picture.cells:
        killed_s, _ = picture.kills[cell.pipeline]
        still_s = rig.visible.flows[cell.pipeline].longest_still_s(killed_s, cell.start_s + length_s)
        rig.figures.add(f"{cell.pipeline}.recovery", still_s, "s")
        rig.figures.add(f"{cell.pipeline}.recovery.failed", rig.measured(cell).failed, "orders")


async def warm(rig: Rig) -> None:
    """Let every pipeline take orders before anything is measured: a JVM is slow at first, as is a new table."""
    await rig.load("warm", rig.pipelines, Shape(rig.size.warm_orders / _WARM_S / 10), _WARM_S)
    for pipeline, fill in ((V2, fill_stream), (V3, fill_topic)):
        if pipeline in rig.pipelines:
            await fill(rig.settings, rig.size.warm_orders)
            rig.accepted[pipeline] += rig.size.warm_orders
    await rig.settle([each for each in rig.pipelines if each != V1])


async def drain_stream(rig: Rig) -> None:
    """Let orders pile up in the stream of v2 while its worker is stopped, then measure how fast it catches up."""
    await rig.settle([V2])
    worker = await Site(rig.settings).find(V2.info.processor)
    assert worker.pid is not None
    with frozen(worker.pid):
        down_s = time.monotonic()
        await fill_stream(rig.settings, rig.size.preload)
        await asyncio.sleep(max(0.0, rig.size.down_s - (time.monotonic() - down_s)))
        let_go_s = time.monotonic()
    await _drained(rig, V2, "drain", let_go_s)


async def drain_stream_by_two(rig: Rig) -> None:
    """Do the same with a second worker beside the stack's own."""
    await rig.settle([V2])
    worker = await Site(rig.settings).find(V2.info.processor)
    assert worker.pid is not None
    async with _second_worker(rig) as second:
        with frozen(worker.pid), frozen(second):
            await fill_stream(rig.settings, rig.size.preload)
            let_go_s = time.monotonic()
        await _drained(rig, V2, "drain2", let_go_s)


@asynccontextmanager
async def _second_worker(rig: Rig) -> AsyncIterator[int]:
    """Run another stream worker for the length of the block; yield its process id once it is ready."""
    ready = rig.own.home / "bench-worker.ready"
    environ = rig.own.environ | rig.settings.addresses | {READY_FILE: str(ready), "COFFEE_WORKER_NAME": "bench"}
    with open_log(rig.own.home / "bench-worker.log") as log:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "backend.pipelines.v2_streams.worker"),
            env=environ,
            stdout=log,
            stderr=log,
            preexec_fn=dies_with_parent(),
        )
    try:
        if not await poll(ready.exists, _STEP_S, _UP_WITHIN_S):
            raise NotReadyError("a second stream worker does not come up")
        yield process.pid
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


async def drain_topic(rig: Rig) -> None:
    """Do the same with v3: its job is cancelled, and submitted again from its checkpoint."""
    from backend.stack.flink import SUBMITTER  # not loaded where no Flink runs

    await rig.settle([V3])
    submitter = await Site(rig.settings).find(SUBMITTER)
    assert submitter.pid is not None
    with frozen(submitter.pid):
        down_s = time.monotonic()
        await _cancel(rig.settings.flink_rest_url)
        await fill_topic(rig.settings, rig.size.preload)
        await asyncio.sleep(max(0.0, rig.size.down_s - (time.monotonic() - down_s)))
        let_go_s = time.monotonic()
    await _drained(rig, V3, "drain", let_go_s)


async def _drained(rig: Rig, pipeline: Pipeline, name: str, let_go_s: float) -> None:
    """Wait for the end of a backlog, and note how fast it went from the first order that moved."""
    flow = rig.visible.flows[pipeline]
    before = rig.accepted[pipeline]
    rig.accepted[pipeline] += rig.size.preload
    if not await rig.visible.reached({pipeline: rig.accepted[pipeline]}, _DRAIN_WITHIN_S):
        raise NotSettledError(f"{pipeline}: the backlog is not drained after {_DRAIN_WITHIN_S:g} s")
    first_s, last_s = flow.first_s(before + 1), flow.first_s(rig.accepted[pipeline])
    # What the first look already shows was done before it: only the rest has a known time.
    moved = rig.accepted[pipeline] - flow.total_at(first_s)
    if last_s > first_s:
        rig.figures.add(f"{pipeline}.{name}.rate", moved / (last_s - first_s), "/s", HIGHER)
    rig.figures.add(f"{pipeline}.{name}.begins", max(0.0, first_s - let_go_s), "s")
    rig.figures.add(f"{pipeline}.{name}.whole", last_s - let_go_s, "s")


async def _cancel(rest_url: str) -> None:
    """Cancel the job of the orders and wait for its end."""
    async with FlinkRest(rest_url, _FLINK_TIMEOUT_S) as flink:
        for job in await _jobs(flink):
            await flink.cancel(job)
        while await _jobs(flink):  # noqa: ASYNC110 - another process sets no event of ours
            await asyncio.sleep(_STEP_S)


async def _checkpoint(rest_url: str) -> None:
    """Have the job of the orders complete a checkpoint. Raises NotReadyError where it does not."""
    async with FlinkRest(rest_url, _FLINK_TIMEOUT_S) as flink:
        for job in await _jobs(flink):
            try:
                await flink.checkpoint(job)
            except FlinkOperationError as error:
                raise NotReadyError("v3's job completes no checkpoint") from error


async def _jobs(flink: FlinkRest) -> list[Job]:
    return [job for job in await flink.jobs() if job.state in ("RUNNING", "CANCELLING")]
