"""A record of a topic, acknowledged by Kafka."""

import asyncio
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from uuid import UUID

from backend.clients.connections import Connections
from backend.clients.kafka_producer import TopicProducer
from backend.clients.redis import RedisClient
from backend.clients.tracing import CURRENT, FIELD
from backend.pipelines.topic.acknowledged import Acknowledged
from backend.pipelines.topic.records import encode_order
from coffee_core import keys
from coffee_core.errors import KeyConflictError, OutcomeUnknownError, UnavailableError
from coffee_core.order import Order
from coffee_core.pipelines import Pipeline

MEMORY_TIMEOUT_S = 0.25
"""Seconds that an order waits for Redis, which it can do without."""


def open_topic_ingest(connections: Connections, pipeline: Pipeline) -> "KafkaIngest":
    """Return the ingest of a pipeline whose log is a topic, and keep beside it how far that was acknowledged."""
    assert pipeline.info.log is not None, f"{pipeline} has a topic"
    acknowledged = Acknowledged(connections.settings, connections.redis, pipeline)
    connections.run_beside(acknowledged.run)
    kafka = connections.producer(pipeline.info.log.name, acknowledged.note)
    return KafkaIngest(kafka, connections.redis, connections.settings.dedup_horizon_ms, pipeline)


class KafkaIngest:
    """To the topic, always; Redis only helps to refuse a key that was used for another order.

    The processor behind it compares too: what slips through here becomes a dead letter there.
    """

    def __init__(
        self, kafka: TopicProducer, redis: RedisClient, dedup_horizon_ms: int, pipeline: Pipeline
    ) -> None:
        self._kafka = kafka
        self._redis = redis
        self._keys = keys.MetricKeys(pipeline)
        self._horizon_ms = dedup_horizon_ms
        self.health = kafka.health
        """Kafka's."""

    async def submit(self, order: Order, keyed: bool) -> None:
        """Produce the order, also where it is a repeat: the first one may never have reached the log."""
        await self._check_keys([order] if keyed else [])
        try:
            await self._send(order)
        except OutcomeUnknownError:
            self._remember(order, keyed)
            raise
        self._remember(order, keyed)

    async def submit_all(self, orders: Sequence[Order], keyed: AbstractSet[UUID]) -> None:
        """Produce them all; where only some are acknowledged, the outcome of the batch is unknown."""
        await self._check_keys([order for order in orders if order.message_id in keyed])
        sending = [self._send(order) for order in orders]
        results = await asyncio.gather(*sending, return_exceptions=True)
        for order, result in zip(orders, results, strict=True):
            if not isinstance(result, UnavailableError):
                self._remember(order, order.message_id in keyed)
        errors = [result for result in results if result is not None]
        if not errors:
            return
        for error in errors:
            if not isinstance(error, UnavailableError | OutcomeUnknownError):
                raise error
        nowhere = sum(isinstance(error, UnavailableError) for error in errors)
        if nowhere == len(orders):
            raise errors[0]
        raise OutcomeUnknownError(f"kafka acknowledged {len(orders) - len(errors)} of {len(orders)}; {errors[0]}")

    def _send(self, order: Order) -> "asyncio.Future[None]":
        traceparent = CURRENT.get()
        headers = [(FIELD, traceparent.encode())] if traceparent else []
        return self._kafka.send(str(order.message_id).encode(), encode_order(order), headers)

    async def _check_keys(self, keyed: Sequence[Order]) -> None:
        self._kafka.health.require()
        names = {self._keys.idempotency(str(order.message_id)): order for order in keyed}
        seen = {name: content for name in names if (content := self._redis.late_keys.get(name)) is not None}
        asked = [name for name in names if name not in seen]
        try:
            answers = await self._redis.command("MGET", *asked, within_s=MEMORY_TIMEOUT_S) if asked else ()
        except (UnavailableError, OutcomeUnknownError):
            answers = ()  # Redis' own health reports that, in its log line and in /readyz
        seen |= {
            name: content.decode(errors="replace")
            for name, content in zip(asked, answers, strict=False)
            if content is not None
        }
        for name, content in seen.items():
            if content != names[name].content:
                raise KeyConflictError(names[name].message_id)

    def _remember(self, order: Order, keyed: bool) -> None:
        # Only now: an order that went nowhere must not occupy its key.
        if keyed:
            name = self._keys.idempotency(str(order.message_id))
            self._redis.late_keys.set(name, order.content, self._horizon_ms)
