"""Peers, what engineers write instead: they run on the servers of the bench's stack, under the same clients."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from backend.clients.daemon import open_postgres, open_redis
from backend.clients.kafka import open_logs
from backend.lab.bench.bench_stack import free_ports
from backend.lab.bench.ceilings import make_topic
from backend.lab.bench.harness import Harness, NotSettledError
from backend.lab.bench.load_clients import LoadClients
from backend.lab.bench.steps_drain import (
    DRAIN_WITHIN_S,
    UP_WITHIN_S,
    down,
    fill,
    fill_log,
    measure_drain,
    start_beside,
)
from backend.lab.bench.visibility import VisibilityWatcher
from backend.lab.chaos.target import TargetStack
from backend.pipelines.audit import audit
from backend.pipelines.faults import NotReadyError
from backend.stack.log_files import text_since
from backend.stack.polling import poll
from backend.stack.ports import is_free
from backend.stack.reason import reason_in
from coffee_core.keys import MetricKeys
from coffee_core.load.schedule import Shape
from coffee_core.pipelines import LogKind, Pipeline
from coffee_core.resources import sql
from coffee_core.settings import Settings

_GROUP = "peer"
_SERVED_WITHIN_S = 20.0
_STOPPED_WITHIN_S = 20.0
_WARM_S = 4.0
_SEEN_WITHIN_S = 10.0
_STEP_S = 0.005
_ASK_EVERY_S = 1.0
"""Rarely: a question to Kafka takes connections and a group's coordinator, while its consumer comes back."""


@dataclass(frozen=True, slots=True)
class Peer:
    """What an engineer writes instead of some pipelines; its programs lie in ``peers``."""

    name: str
    """Of its log, and what its keys in Redis begin with."""
    what: str
    api: str
    """File of its API."""
    consumer: str = ""
    """File of what works on its log; empty without a log."""
    log: LogKind | None = None
    stores: bool = False
    """Whether its consumer stores rows."""


_INSERT = Peer("peer-insert", "FastAPI and asyncpg: INSERT … ON CONFLICT DO NOTHING", "insert_api.py")
_STREAM = Peer(
    "peer-stream",
    "FastAPI and XADD; FastStream in batches: rows by asyncpg, totals by HINCRBY",
    "stream_api.py",
    "stream_worker.py",
    LogKind.STREAM,
    stores=True,
)
_TOPIC = Peer(
    "peer-topic",
    "FastAPI and aiokafka, acks=all; a plain consumer, offsets by its timer: totals by HINCRBY, no rows",
    "topic_api.py",
    "topic_consumer.py",
    LogKind.TOPIC,
)


def peer_of(pipeline: Pipeline) -> Peer | None:
    """Return what is written instead of a pipeline; None where that is none of these."""
    if pipeline.info.log is None:
        return _INSERT if pipeline.info.shown_in_runs else None
    return next((peer for peer in (_STREAM, _TOPIC) if peer.log is pipeline.info.log.kind), None)


class PeerHarness(Harness):
    """What the steps of a bench need of a peer: it is asked, loaded and watched as the pipeline it stands for."""

    @property
    def pipelines(self) -> tuple[Pipeline, ...]:
        """The one that it stands for."""
        return tuple(self.watcher.histories)


class RunningPeer:
    """A peer that runs."""

    def __init__(self, peer: Peer, pipeline: Pipeline, python: Path, url: str, harness: PeerHarness) -> None:
        self.peer = peer
        self.pipeline = pipeline
        """As which it is measured."""
        self.url = url
        """Where orders are posted."""
        self.harness = harness
        self._python = python
        self._consumer: asyncio.subprocess.Process | None = None

    async def start_consumer(self) -> None:
        """Start what works on its log; return at once."""
        self._consumer = await _start(self.harness, self._python, f"{self.peer.name}-consumer", self.peer.consumer)

    async def stop_consumer(self) -> None:
        """End it in order: it commits what it has done. Raises NotReadyError where it has ended by itself."""
        assert self._consumer is not None, "it was started"
        if self._consumer.returncode is not None:
            raise NotReadyError(_ended(self.harness, f"{self.peer.name}-consumer"))
        await _stop(self._consumer)

    async def kill_consumer(self) -> None:
        """Kill it (SIGKILL)."""
        assert self._consumer is not None, "it was started"
        if self._consumer.returncode is None:
            self._consumer.kill()
        await self._consumer.wait()

    async def fill(self, orders: int) -> None:
        """Put so many orders into its log."""
        assert self.peer.log is not None, "it has a log"
        await fill_log(self.harness.settings, self.peer.log, self.peer.name, orders)

    async def rows(self) -> int:
        """Return how many orders its consumer has stored."""
        connection = await open_postgres(self.harness.settings.database_url)
        try:
            return int(await connection.fetchval(sql("backend.lab.bench", "peer_rows")))
        finally:
            await connection.close()

    async def shown(self) -> int:
        """Return its total once the watcher has seen it."""
        async with open_redis(self.harness.settings.redis_url) as client:
            total = int(await client.get(MetricKeys(self.peer.name).total_orders) or 0)
        await self.harness.watcher.reached({self.pipeline: total}, _SEEN_WITHIN_S)
        return total

    async def waiting(self) -> int:
        """Return how many orders of its log are not acknowledged."""
        return await _WAITING[self.peer.log](self.harness.settings, self.peer.name)


async def _waiting_in_stream(settings: Settings, stream: str) -> int:
    async with open_redis(settings.redis_url) as client:
        (group,) = await client.xinfo_groups(stream)
    return int(group["lag"]) + int(group["pending"])


async def _waiting_in_topic(settings: Settings, topic: str) -> int:
    async with open_logs(settings) as logs:
        ends, committed = await logs.ends(topic), await logs.committed(_GROUP, topic)
    return sum(end - committed.get(partition, 0) for partition, end in ends.items())


_WAITING: dict[LogKind | None, Callable[[Settings, str], Awaitable[int]]] = {
    LogKind.STREAM: _waiting_in_stream,
    LogKind.TOPIC: _waiting_in_topic,
}


@asynccontextmanager
async def running(peer: Peer, pipeline: Pipeline, python: Path, harness: Harness) -> AsyncIterator[RunningPeer]:
    """Run a peer for the length of the block, on the servers of a stack; ``pipeline`` is what it is measured as.

    Raises NotReadyError where it does not come up.
    """
    await _prepare(peer, harness.settings)
    (port,) = free_ports(1)
    base = f"http://127.0.0.1:{port}"
    api = await _start(harness, python, f"{peer.name}-api", peer.api, str(port))
    try:
        up = await poll(lambda: not is_free(port) or api.returncode is not None, 0.05, _SERVED_WITHIN_S)
        if not up or api.returncode is not None:
            raise NotReadyError(_ended(harness, f"{peer.name}-api"))
        shown_as = {pipeline: peer.name}
        async with (
            VisibilityWatcher(harness.settings.redis_url, [pipeline], shown_as) as watcher,
            LoadClients(base, 1, harness.stack.environ) as clients,
        ):
            own = PeerHarness(harness.size, harness.stack, watcher, clients)
            run = RunningPeer(peer, pipeline, python, f"{base}/api/{pipeline}/order", own)
            if not peer.consumer:
                yield run
                return
            await run.start_consumer()
            try:
                yield run
            finally:
                await run.kill_consumer()
    finally:
        await _stop(api)


async def _prepare(peer: Peer, settings: Settings) -> None:
    """Make what a deployment of a peer has made: its table, its stream with the group, its topic."""
    connection = await open_postgres(settings.database_url)
    try:
        await connection.execute(sql("backend.lab.bench", "peer_tables"))
    finally:
        await connection.close()
    if peer.log is LogKind.STREAM:
        async with open_redis(settings.redis_url) as client:
            await client.xgroup_create(peer.name, _GROUP, "0", mkstream=True)
    elif peer.log is LogKind.TOPIC:
        await make_topic(settings, peer.name)


async def _start(
    harness: Harness, python: Path, name: str, file: str, *arguments: str
) -> asyncio.subprocess.Process:
    path = files("backend.lab.bench.peers") / file
    # -I: it has its own environment, whatever leads to ours.
    return await start_beside(harness, name, (str(python), "-I", str(path), *arguments))


async def _stop(process: asyncio.subprocess.Process) -> None:
    """End a process in order, or else for good."""
    if process.returncode is None:
        process.send_signal(signal.SIGINT)
        try:
            await asyncio.wait_for(process.wait(), _STOPPED_WITHIN_S)
        except TimeoutError:
            process.kill()
            await process.wait()


def _ended(harness: Harness, name: str) -> str:
    reason = reason_in(text_since(harness.stack.home / f"{name}.log"))
    return f"{name} does not run: {reason or 'no reason given'}"


async def warm_peer(run: RunningPeer) -> None:
    """Let a peer take orders before anything is measured, as ``steps_load.warm`` does with the pipelines."""
    harness, orders = run.harness, run.harness.size.warm_orders
    await harness.load("warm", [run.pipeline], Shape(orders / _WARM_S / 10), _WARM_S)
    if run.peer.consumer:
        await run.fill(orders)
        harness.accepted[run.pipeline] += orders
        await harness.settle([run.pipeline])


async def drain_peer(run: RunningPeer) -> None:
    """Let orders pile up while its consumer is down, then measure how fast it catches up."""
    await run.harness.settle([run.pipeline])
    await run.stop_consumer()
    try:
        await run.fill(run.harness.size.preload)
        let_go_s = time.monotonic()
    finally:
        await run.start_consumer()
    await measure_drain(run.harness, run.pipeline, "drain", let_go_s)


async def kill_draining(harness: Harness, pipeline: Pipeline) -> None:
    """Kill the processor of a pipeline in the middle of a drain; note by the audit what came of the orders."""
    target = TargetStack(harness.settings)
    await harness.settle([pipeline])
    async with down(harness, pipeline):
        await fill(harness.settings, pipeline, harness.size.preload)
    await _partly_drained(harness, pipeline)
    part = await target.find(pipeline.info.processor)
    assert part.pid is not None, "a part that was found has a process"
    os.kill(part.pid, signal.SIGKILL)
    killed_s = time.monotonic()
    harness.accepted[pipeline] += harness.size.preload
    if not await harness.watcher.reached({pipeline: harness.accepted[pipeline]}, DRAIN_WITHIN_S):
        raise NotSettledError(f"{pipeline}: the backlog is not drained {DRAIN_WITHIN_S:g} s after the kill")
    await target.all_up()
    (balance,) = await audit(harness.settings, [pipeline], settle_s=UP_WITHIN_S)
    twice, lost = (
        balance.duplicated.orders + max(0, balance.drift.orders),
        balance.lost - min(0, balance.drift.orders),
    )
    _note_kill(harness, pipeline, killed_s, twice=twice, lost=lost)


async def kill_peer(run: RunningPeer) -> None:
    """Kill the consumer of a peer in the middle of a drain, start it again at once; compare what is counted."""
    harness, pipeline, orders = run.harness, run.pipeline, run.harness.size.preload
    await harness.settle([pipeline])
    stored = await run.rows() if run.peer.stores else 0
    await run.stop_consumer()
    try:
        await run.fill(orders)
    finally:
        await run.start_consumer()
    await _partly_drained(harness, pipeline)
    await run.kill_consumer()
    killed_s = time.monotonic()
    await run.start_consumer()
    give_up_at_s = killed_s + DRAIN_WITHIN_S
    while await run.waiting():
        if time.monotonic() > give_up_at_s:
            raise NotSettledError(
                f"{run.peer.name}: the backlog is not drained {DRAIN_WITHIN_S:g} s after the kill"
            )
        await asyncio.sleep(_ASK_EVERY_S)
    total = await run.shown()
    counted, harness.accepted[pipeline] = total - harness.accepted[pipeline], total
    stored = await run.rows() - stored if run.peer.stores else orders
    _note_kill(
        harness, pipeline, killed_s, twice=max(0, counted - orders), lost=max(0, orders - counted, orders - stored)
    )


async def _partly_drained(harness: Harness, pipeline: Pipeline) -> None:
    """Wait until a third of a backlog is shown. Raises NotSettledError."""
    third = harness.accepted[pipeline] + harness.size.preload // 3
    history = harness.watcher.histories[pipeline]
    if not await poll(lambda: history.total >= third, _STEP_S, DRAIN_WITHIN_S):
        raise NotSettledError(f"{pipeline}: a third of the backlog is not drained after {DRAIN_WITHIN_S:g} s")


def _note_kill(harness: Harness, pipeline: Pipeline, killed_s: float, *, twice: int, lost: int) -> None:
    history = harness.watcher.histories[pipeline]
    harness.figures.add(f"{pipeline}.kill.twice", twice, "orders")
    harness.figures.add(f"{pipeline}.kill.lost", lost, "orders")
    # Of a backlog that was done before, nothing stood still.
    still_s = history.longest_still_s(killed_s, max(killed_s, history.times_s[-1]))
    harness.figures.add(f"{pipeline}.kill.still", still_s, "s")
    harness.figures.add(f"{pipeline}.kill.whole", max(0.0, history.times_s[-1] - killed_s), "s")
