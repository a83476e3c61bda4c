"""Backlogs: orders pile up in a log while nobody works on it, and then it is measured how fast they are drained.

The orders are put straight into the log: the API would be the bottleneck.
"""

import asyncio
import random
import time
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import astuple, fields
from typing import Any

from aiokafka import AIOKafkaProducer

from backend.clients.daemon import open_postgres, open_redis
from backend.lab.bench.figures import Better
from backend.lab.bench.harness import Harness, NotSettledError
from backend.lab.bench.textbook_consumer import SUMMED
from backend.lab.chaos.restorer import frozen
from backend.lab.chaos.target import TargetStack
from backend.pipelines.faults import NotReadyError
from backend.pipelines.topic.records import encode_order
from backend.stack.links import SUBMITTER
from backend.stack.log_files import open_log
from backend.stack.polling import poll
from coffee_core.children import python_module
from coffee_core.clock import now_us
from coffee_core.ids import new_message_id
from coffee_core.menu import DRINKS, STORES
from coffee_core.order import Order
from coffee_core.parent_death_signal import dies_with_parent
from coffee_core.pipelines import LogKind, Pipeline, Service
from coffee_core.resources import sql
from coffee_core.runstate import READY_FILE
from coffee_core.settings import Settings

_STORED_SINCE = sql("backend.lab.bench", "stored_since")
_AT_ONCE = 1_000
_MAX_BATCH_BYTES = 256 * 1024
UP_WITHIN_S = 120.0
DRAIN_WITHIN_S = 300.0
FLINK_TIMEOUT_S = 60.0
"""Seconds for an answer of Flink: a checkpoint in a backlog takes its time."""
_POLL_S = 0.05
_TEXTBOOK_ORDERS = 100_000
"""Orders that a textbook consumer counts, at most: it is as fast at the first as at the last."""


def runs_on_flink(pipeline: Pipeline) -> bool:
    """Tell whether a job of Flink works on the orders of a pipeline, not a process of its own."""
    return "flink" in pipeline.info.servers


def can_drain(pipeline: Pipeline) -> bool:
    """Tell whether orders can pile up for a pipeline: it has a log, and a processor that reads it."""
    return pipeline.info.log is not None and bool(pipeline.info.processor)


def worker_of(pipeline: Pipeline) -> Service | None:
    """Return the daemon that works on the orders of a pipeline, beside which another can run; None without one."""
    services = (service for service in pipeline.info.services if service.name == pipeline.info.processor)
    return next(services, None)


def has_textbook(pipeline: Pipeline) -> bool:
    """Tell whether a plain consumer of its topic is what a pipeline is to be compared with."""
    log = pipeline.info.log
    return log is not None and log.kind is LogKind.TOPIC and worker_of(pipeline) is not None


async def drain(harness: Harness, pipeline: Pipeline) -> None:
    """Let orders pile up while the processor of a pipeline is down, then measure how fast it catches up."""
    await harness.settle([pipeline])
    down_s = time.monotonic()
    async with down(harness, pipeline):
        await fill(harness.settings, pipeline, harness.size.preload)
        await asyncio.sleep(max(0.0, harness.size.down_s - (time.monotonic() - down_s)))
        let_go_s = time.monotonic()
    await measure_drain(harness, pipeline, "drain", let_go_s)


async def drain_storing(harness: Harness, pipeline: Pipeline) -> None:
    """Let orders pile up before the daemon that stores the rows, then measure how fast it catches up, alone.

    Its rows tell: each has the time at which it was inserted. Raises NotSettledError where it does not catch up.
    """
    orders = harness.size.preload
    await harness.settle([pipeline])
    part = await TargetStack(harness.settings).find(pipeline.info.storer)
    assert part.pid is not None, "a part that was found has a process"
    connection = await open_postgres(harness.settings.database_url)
    try:
        began_at = await connection.fetchval("select clock_timestamp()")
        with frozen(part.pid):
            await fill(harness.settings, pipeline, orders)
            harness.accepted[pipeline] += orders
            await harness.settle([pipeline])  # the processor has done its part
            let_go_at = await connection.fetchval("select clock_timestamp()")
        give_up_at_s = time.monotonic() + DRAIN_WITHIN_S
        while True:
            rows = await connection.fetchrow(_STORED_SINCE, str(pipeline), began_at)
            assert rows is not None, "an aggregate is one row"
            if rows["orders"] >= orders:
                break
            if time.monotonic() > give_up_at_s:
                raise NotSettledError(f"{pipeline}: its rows are not stored after {DRAIN_WITHIN_S:g} s")
            # Rarely: the rows are counted by a scan, on the processors that are measured.
            await asyncio.sleep(1.0)
    finally:
        connection.terminate()
    if seconds := (rows["last_at"] - rows["first_at"]).total_seconds():
        harness.figures.add(f"{pipeline}.drain.stored.rate", rows["orders"] / seconds, "/s", Better.HIGHER)
    harness.figures.add(f"{pipeline}.drain.stored.whole", (rows["last_at"] - let_go_at).total_seconds(), "s")


async def drain_by_two(harness: Harness, pipeline: Pipeline) -> None:
    """Do the same with a second worker beside the stack's own."""
    await harness.settle([pipeline])
    async with _second_worker(harness, pipeline) as second:
        async with down(harness, pipeline):
            with frozen(second):
                await fill(harness.settings, pipeline, harness.size.preload)
                let_go_s = time.monotonic()
        await measure_drain(harness, pipeline, "drain2", let_go_s)


async def drain_by_textbook(harness: Harness, pipeline: Pipeline) -> None:
    """Measure how fast a consumer as a textbook has it counts the same topic; and with each read added up.

    Raises NotSettledError where one fails, or is not done in time.
    """
    await harness.settle([pipeline])
    for name, options in (("textbook", ()), ("textbook.summed", (SUMMED,))):
        rate = await _textbook_rate(harness, pipeline, *options)
        harness.figures.add(f"{name}.drain.rate", rate, "/s", Better.HIGHER)


async def _textbook_rate(harness: Harness, pipeline: Pipeline, *options: str) -> float:
    log = pipeline.info.log
    assert log is not None, f"{pipeline} has a log"
    orders = min(harness.size.preload, _TEXTBOOK_ORDERS, harness.accepted[pipeline])
    consumer = (*python_module("backend.lab.bench.textbook_consumer"), log.name, str(orders), *options)
    process = await start_beside(harness, "bench-textbook", consumer, stdout=PIPE)
    try:
        async with asyncio.timeout(DRAIN_WITHIN_S):
            answer, _ = await process.communicate()
    except TimeoutError as error:
        raise NotSettledError(f"the textbook consumer is not done after {DRAIN_WITHIN_S:g} s") from error
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode:
        raise NotSettledError(f"the textbook consumer failed: bench-textbook.log in {harness.stack.home} tells")
    return float(answer)


async def fill(settings: Settings, pipeline: Pipeline, orders: int) -> None:
    """Put so many orders into the log of a pipeline. Raises the errors of its server."""
    log = pipeline.info.log
    assert log is not None, f"{pipeline} has a log"
    await fill_log(settings, log.kind, log.name, orders)


async def fill_log(settings: Settings, kind: LogKind, name: str, orders: int) -> None:
    """Put so many orders into a log. Raises the errors of its server."""
    await _FILL[kind](settings, name, orders)


async def _fill_stream(settings: Settings, stream: str, orders: int) -> None:
    async with open_redis(settings.redis_url) as client:
        for first in range(0, orders, _AT_ONCE):
            pipe = client.pipeline(transaction=False)
            for _ in range(min(_AT_ONCE, orders - first)):
                fields: dict[Any, Any] = dict(_order().to_fields())
                pipe.xadd(stream, fields)
            await pipe.execute()


async def _fill_topic(settings: Settings, topic: str, orders: int) -> None:
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
                sent.append(await producer.send(topic, encode_order(order), str(order.message_id).encode()))
            await asyncio.gather(*sent)
    finally:
        await producer.stop()


async def _fill_table(settings: Settings, table: str, orders: int) -> None:
    columns = [field.name for field in fields(Order)]
    connection = await open_postgres(settings.database_url)
    try:
        for first in range(0, orders, _AT_ONCE):
            rows = [astuple(_order()) for _ in range(min(_AT_ONCE, orders - first))]
            await connection.copy_records_to_table(table, records=rows, columns=columns)
    finally:
        await connection.close()


_FILL: Mapping[LogKind, Callable[[Settings, str, int], Awaitable[None]]] = {
    LogKind.STREAM: _fill_stream,
    LogKind.TOPIC: _fill_topic,
    LogKind.TABLE: _fill_table,
}


def _order() -> Order:
    now = now_us()
    drink, store = random.choice(DRINKS), random.choice(STORES)
    return Order(new_message_id(), drink, store, random.randrange(250, 650), now, now)


@asynccontextmanager
async def down(harness: Harness, pipeline: Pipeline) -> AsyncIterator[None]:
    """Keep the processor of a pipeline from its work for the length of the block.

    A process is frozen. A job of Flink is cancelled, and is submitted again from its checkpoint after the block.
    """
    target = TargetStack(harness.settings)
    if not runs_on_flink(pipeline):
        worker = await target.find(pipeline.info.processor)
        assert worker.pid is not None, "a part that was found has a process"
        with frozen(worker.pid):
            yield
        return
    submitter = await target.find(SUBMITTER)
    assert submitter.pid is not None, "a part that was found has a process"
    with frozen(submitter.pid):
        await _cancel_job(harness.settings)
        yield


async def _cancel_job(settings: Settings) -> None:
    """Cancel the job of the orders and wait for its end."""
    from flink.rest import FlinkRest

    async with FlinkRest(settings.flink_rest_url, FLINK_TIMEOUT_S) as flink:
        for job in await flink.jobs():
            if job.state == "RUNNING":
                await flink.cancel(job)
        # Another process sets no event of ours.
        while any(job.state in ("RUNNING", "CANCELLING") for job in await flink.jobs()):  # noqa: ASYNC110
            await asyncio.sleep(_POLL_S)


async def start_beside(
    harness: Harness, name: str, command: Sequence[str], environ: Mapping[str, str] = {}, stdout: int | None = None
) -> asyncio.subprocess.Process:
    """Start a process beside the stack's own; what it writes is in NAME.log in the stack's home."""
    environ = {**harness.stack.environ, **harness.settings.addresses, **environ}
    with open_log(harness.stack.home / f"{name}.log") as log:
        return await asyncio.create_subprocess_exec(
            *command,
            env=environ,
            stdout=log if stdout is None else stdout,
            stderr=log,
            preexec_fn=dies_with_parent(),
        )


@asynccontextmanager
async def _second_worker(harness: Harness, pipeline: Pipeline) -> AsyncIterator[int]:
    """Run another worker for the length of the block; yield its process id once it is ready."""
    service = worker_of(pipeline)
    assert service is not None, f"{pipeline} has a worker"
    ready = harness.stack.home / "bench-worker.ready"
    environ = {READY_FILE: str(ready), "COFFEE_WORKER_NAME": "bench"}
    process = await start_beside(harness, "bench-worker", python_module(service.module), environ)
    try:
        if not await poll(ready.exists, _POLL_S, UP_WITHIN_S):
            raise NotReadyError(f"a second {service.name} does not come up")
        yield process.pid
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


async def measure_drain(harness: Harness, pipeline: Pipeline, name: str, let_go_s: float) -> None:
    """Wait for the end of a backlog, and note how fast it went from the first order that moved.

    Raises NotSettledError where it does not end.
    """
    history = harness.watcher.histories[pipeline]
    before = harness.accepted[pipeline]
    harness.accepted[pipeline] += harness.size.preload
    if not await harness.watcher.reached({pipeline: harness.accepted[pipeline]}, DRAIN_WITHIN_S):
        raise NotSettledError(f"{pipeline}: the backlog is not drained after {DRAIN_WITHIN_S:g} s")
    first_s, last_s = history.first_s(before + 1), history.first_s(harness.accepted[pipeline])
    # What the first look already shows was done before it: only the rest has a known time.
    moved = harness.accepted[pipeline] - history.total_at(first_s)
    if last_s > first_s:
        harness.figures.add(f"{pipeline}.{name}.rate", moved / (last_s - first_s), "/s", Better.HIGHER)
    harness.figures.add(f"{pipeline}.{name}.begins", max(0.0, first_s - let_go_s), "s")
    harness.figures.add(f"{pipeline}.{name}.whole", last_s - let_go_s, "s")
