"""The Kafka side of the API: an idempotent producer that is made, watched and replaced in the background."""

import asyncio
import logging
from functools import partial
from time import monotonic

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError, ProducerClosed

from backend.api.health import Health
from backend.api.kafka_groups import Headers, KafkaGroups
from backend.api.outcome import UnavailableError
from backend.kafka_options import kafka_options
from coffee_core.settings import Settings

log = logging.getLogger(__name__)

START_TIMEOUT_S = 10.0
"""Seconds for a producer to meet the cluster and get its producer id; a cold broker hands out none at first."""
REQUEST_TIMEOUT_MS = 3_000
"""Milliseconds for one request to a broker."""
REPLACE_AFTER_S = 30.0
"""Seconds without any broker after which a new producer asks the bootstrap servers where the brokers are now."""
CLOSE_TIMEOUT_S = 1.0
"""Seconds for a producer that is given up to deliver what it holds."""
MAX_BATCH_BYTES = 256 * 1024
"""Most bytes of one batch: about a thousand orders."""


class KafkaBackend:
    """One topic, as the API uses it."""

    def __init__(self, settings: Settings, topic: str) -> None:
        self.health = Health("kafka")
        """Whether the cluster answers and has the topic."""
        self._servers = settings.kafka_servers
        self._options = kafka_options(settings)
        self._topic = topic
        self._producer: AIOKafkaProducer | None = None
        self._groups: KafkaGroups | None = None
        self._starting: asyncio.Task[None] | None = None
        self._last_answer_s = 0.0
        self._closing: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Keep a producer, forever; it is closed when this is cancelled."""
        try:
            await self.health.keep_asking(self._probe)
        finally:
            if self._starting is not None:
                await asyncio.wait({self._starting}, timeout=CLOSE_TIMEOUT_S)
                self._starting.cancel()
                await asyncio.gather(self._starting, return_exceptions=True)
            self._retire()
            await asyncio.gather(*self._closing)

    def send(self, key: bytes, value: bytes, headers: Headers) -> "asyncio.Future[None]":
        """Return a future that is done when every in-sync replica has the record with its headers.

        This and the future raise UnavailableError where it certainly was not sent, the future OutcomeUnknownError
        where it may have been.
        """
        self.health.require()
        if self._groups is None:
            raise UnavailableError("kafka has no producer yet")
        return self._groups.add(key, value, headers)

    async def _probe(self) -> None:
        if self._producer is not None and monotonic() - self._last_answer_s > REPLACE_AFTER_S:
            self._retire()
        producer = self._producer or await self._started()
        # The first question also makes the producer know the topic's partitions before an order needs them.
        producer.client.add_topic(self._topic)
        if not await producer.client.force_metadata_update():
            raise UnavailableError(f"no broker of {self._servers} answers")
        self._last_answer_s = monotonic()
        if not producer.client.cluster.partitions_for_topic(self._topic):
            raise UnavailableError(f"the topic {self._topic} is missing")

    async def _started(self) -> AIOKafkaProducer:
        # In a task of its own, which outlives a probe that gives up: cancelled here, aiokafka leaks a connection.
        if self._starting is None:
            self._starting = asyncio.create_task(self._start())
        await asyncio.wait({self._starting})
        started, self._starting = self._starting, None
        started.result()
        if self._producer is None:
            raise UnavailableError("the producer is being replaced")
        return self._producer

    async def _start(self) -> None:
        producer = AIOKafkaProducer(
            **self._options,
            client_id="coffee-api",
            acks="all",
            enable_idempotence=True,
            linger_ms=0,
            max_batch_size=MAX_BATCH_BYTES,
            request_timeout_ms=REQUEST_TIMEOUT_MS,
        )
        try:
            async with asyncio.timeout(START_TIMEOUT_S):
                await producer.start()
        except BaseException as error:
            await producer.stop()  # a producer that never started has nothing to deliver: this is immediate
            if isinstance(error, KafkaError | OSError):
                raise UnavailableError(f"cannot connect to {self._servers} ({type(error).__name__})") from error
            raise
        self._producer = producer
        self._groups = KafkaGroups(producer, self._topic, partial(self._doubt, producer))
        self._last_answer_s = monotonic()

    def _doubt(self, producer: AIOKafkaProducer, error: KafkaError | None) -> None:
        if error is None:
            self.health.doubt()
            return
        # After an error that it does not retry, an idempotent producer's sequence numbers may no longer be what
        # the broker expects: it would fail for ever, so a new one takes over.
        log.warning("kafka: %r: a new producer takes over", error)
        if producer is self._producer:
            self._retire()
            self.health.went_down(f"the producer failed ({error})")
            self.health.doubt()

    def _retire(self) -> None:
        if self._producer is not None:
            task = asyncio.create_task(_close(self._producer))
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)
            self._producer = self._groups = None


async def _close(producer: AIOKafkaProducer) -> None:
    stopping = asyncio.create_task(producer.stop())
    _, late = await asyncio.wait({stopping}, timeout=CLOSE_TIMEOUT_S)
    if late:
        # stop() waits for every record to be delivered, with a dead broker for ever, and has no public way out.
        log.warning("kafka: a producer is closed with records that no broker has taken")
        await producer.client.close()
        await producer._sender.close()  # noqa: SLF001
        producer._message_accumulator.fail_all(ProducerClosed())  # noqa: SLF001
    await stopping
