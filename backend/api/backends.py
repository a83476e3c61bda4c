"""The dependencies of the pipelines that run here, and the tasks that keep them."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager

from backend.clients.health import Health
from backend.clients.kafka_producer import KafkaBackend
from backend.clients.postgres import PostgresBackend
from backend.clients.redis import RedisBackend
from backend.pipelines.interface import Ingest, Lookup
from backend.pipelines.v1_direct.ingest import Direct, DirectLookup
from backend.pipelines.v2_streams.ingest import Streams, StreamsLookup
from backend.pipelines.v3_kafka.ingest import Log, LogLookup
from backend.pipelines.windows import JobWindows, RowWindows, WindowsSource
from coffee_core import keys
from coffee_core.pipelines import Pipeline
from coffee_core.pipelines.constants import V1, V2, V3
from coffee_core.settings import Settings

log = logging.getLogger(__name__)


class Backends:
    """What the pipelines of this API stand on."""

    def __init__(self, settings: Settings) -> None:
        self._runners: list[Callable[[], Coroutine[None, None, None]]] = []
        self.intakes: dict[Pipeline, Ingest] = {}
        """Where the orders of each pipeline go; only pipelines that run here are there."""
        self.healths: dict[str, Health] = {}
        """Health of each dependency by its name."""
        self.lookups: dict[Pipeline, Lookup] = {}
        """Where to ask what has become of an order."""
        self.windows: dict[Pipeline, WindowsSource | None] = {}
        """Where the windows of each pipeline are; None of one that keeps none."""
        horizon_ms = settings.dedup_horizon_ms
        self.postgres = PostgresBackend(settings.database_url)
        """PostgreSQL; its rows are counted also for pipelines that do not run here."""
        postgres = self.postgres
        self.redis = RedisBackend(settings.redis_url)
        """Redis; what it shows is read also where no pipeline here needs it."""
        redis = self.redis
        self._add(postgres)
        self._add(redis)
        if V1 in settings.pipelines:
            self.intakes[V1] = Direct(postgres)
            self.lookups[V1] = DirectLookup(postgres, redis)
            self.windows[V1] = RowWindows(postgres)
        if V2 in settings.pipelines:
            self.intakes[V2] = Streams(redis, horizon_ms)
            self.lookups[V2] = StreamsLookup(postgres, redis)
            self.windows[V2] = None
        if V3 in settings.pipelines:
            kafka = KafkaBackend(settings, keys.TOPIC)
            self._add(kafka)
            self.intakes[V3] = Log(kafka, redis, horizon_ms)
            self.lookups[V3] = LogLookup(postgres, redis)
            self.windows[V3] = JobWindows(redis)

    def _add(self, backend: PostgresBackend | RedisBackend | KafkaBackend) -> None:
        self._runners.append(backend.run)
        self.healths[backend.health.name] = backend.health

    @asynccontextmanager
    async def running(self, on_crash: Callable[[], None]) -> AsyncIterator[None]:
        """Keep all of them connected meanwhile; ``on_crash`` is called where one cannot go on."""

        def done(task: "asyncio.Task[None]") -> None:
            if not task.cancelled() and (error := task.exception()):
                log.critical("a dependency can no longer be watched", exc_info=error)
                on_crash()

        tasks = [asyncio.create_task(run()) for run in self._runners]
        for task in tasks:
            task.add_done_callback(done)
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)  # a failure was logged by done()
