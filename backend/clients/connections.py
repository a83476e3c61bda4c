"""The connections of a process that serves requests: opened once, kept by tasks, each with its health."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from backend.clients.health import Health
from backend.clients.postgres import PostgresPool
from backend.clients.redis import RedisClient
from coffee_core.settings import Settings
from coffee_core.tasks import end_tasks

if TYPE_CHECKING:
    from backend.clients.kafka_producer import OnAcknowledged, TopicProducer

_log = logging.getLogger(__name__)


class Connections:
    """PostgreSQL and Redis, and a Kafka producer for each topic that a pipeline writes to."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._runners: list[Callable[[], Coroutine[None, None, None]]] = []
        self.healths: dict[str, Health] = {}
        """Health of each dependency by its name."""
        self.postgres = PostgresPool(settings.database_url)
        """PostgreSQL; its rows are counted also for pipelines that do not run here."""
        self._keep(self.postgres)
        self.redis = RedisClient(settings.redis_url)
        """Redis; what it shows is read also where no pipeline here needs it."""
        self._keep(self.redis)

    def producer(self, topic: str, on_acknowledged: "OnAcknowledged") -> "TopicProducer":
        """Return a Kafka producer for a topic of a pipeline that runs here."""
        from backend.clients.kafka_producer import TopicProducer

        kafka = TopicProducer(self.settings, topic, on_acknowledged)
        self._keep(kafka)
        return kafka

    def run_beside(self, run: Callable[[], Coroutine[None, None, None]]) -> None:
        """Have something run for as long as the connections are kept open; say so before that."""
        self._runners.append(run)

    def _keep(self, backend: "PostgresPool | RedisClient | TopicProducer") -> None:
        self._runners.append(backend.run)
        self.healths[backend.health.name] = backend.health

    @asynccontextmanager
    async def keep_open(self, on_crash: Callable[[], None]) -> AsyncIterator[None]:
        """Keep all of them connected during the block; call ``on_crash`` where one fails for good."""

        def done(task: "asyncio.Task[None]") -> None:
            if not task.cancelled() and (error := task.exception()):
                _log.critical("a dependency can no longer be watched", exc_info=error)
                on_crash()

        tasks = [asyncio.create_task(run()) for run in self._runners]
        for task in tasks:
            task.add_done_callback(done)
        try:
            yield
        finally:
            await end_tasks(*tasks)  # a failure was logged by done()
