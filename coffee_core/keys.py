"""Names that live outside the program: Redis keys, the stream, the topics, the consumer groups.

Outside users read the metric keys: a test pins every one of them.
"""

from dataclasses import dataclass

STREAM = "orders:stream"
"""v2's log: a Redis stream."""
STREAM_GROUP = "order-workers"
"""Consumer group of the stream workers."""
DEAD_STREAM = "orders:dead"
"""v2's dead letters: a Redis stream with the entry's fields, its reason and its origin."""
TOPIC = "orders"
"""v3's log: a Kafka topic keyed by message id."""
DEAD_TOPIC = "orders.dead"
"""v3's dead letters: a Kafka topic."""
FLINK_GROUP = "flink-processors"
"""Consumer group of the Flink job."""
WORKERS_TOPIC = "orders-v4"
"""v4's log: a Kafka topic keyed by message id."""
WORKERS_DEAD_TOPIC = "orders-v4.dead"
"""v4's dead letters: a Kafka topic."""
WORKER_GROUP = "order-workers"
"""Consumer group of v4's kafka-workers."""
AGGREGATOR_GROUP = "order-aggregators"
"""Consumer group of v4's kafka-aggregators."""
SAVEPOINTS = "savepoints"
"""Folder of v3's savepoints beside the checkpoints of an epoch: a job continues from whichever is the newest."""


@dataclass(frozen=True, slots=True)
class MetricKeys:
    """The six metric keys of one pipeline, which outside users read, and the lab's own keys."""

    pipeline: str
    """Name of the pipeline, which every key begins with."""

    def _metric(self, name: str) -> str:
        return f"{self.pipeline}:metrics:{name}"

    def _lab(self, name: str) -> str:
        return f"{self.pipeline}:lab:{name}"

    @property
    def total_orders(self) -> str:
        """String: orders shown. Written last of all six, so that its notification announces all of them."""
        return self._metric("total_orders")

    @property
    def total_revenue(self) -> str:
        """String: revenue in cents."""
        return self._metric("total_revenue")

    @property
    def drink_counts(self) -> str:
        """Hash: drink → orders."""
        return self._metric("drink_counts")

    @property
    def drink_revenue(self) -> str:
        """Hash: drink → cents."""
        return self._metric("drink_revenue")

    @property
    def store_counts(self) -> str:
        """Hash: store → orders."""
        return self._metric("store_counts")

    @property
    def store_revenue(self) -> str:
        """Hash: store → cents."""
        return self._metric("store_revenue")

    @property
    def hashes(self) -> tuple[str, str, str, str]:
        """The four breakdowns."""
        return self.drink_counts, self.drink_revenue, self.store_counts, self.store_revenue

    @property
    def metrics(self) -> tuple[str, ...]:
        """All six, total_orders last: the order in which they are written."""
        return self.total_revenue, *self.hashes, self.total_orders

    @property
    def latency(self) -> str:
        """Hash: bucket of ``coffee_core.latency`` → orders that became visible that late."""
        return self._lab("latency")

    @property
    def counters(self) -> str:
        """Hash of the lab's counters: duplicates, dead, last_update_us, and what else a pipeline keeps."""
        return self._lab("counters")

    @property
    def fence(self) -> str:
        """String (v1): the snapshot of the last run."""
        return self._lab("fence")

    @property
    def epoch(self) -> str:
        """String (v3): the epoch of the job that may write. Its key is ``fence``, as in v1."""
        return self._lab("fence")

    @property
    def checkpoints(self) -> str:
        """List (v3): ``<epoch> <URI>`` of the last checkpoints, newest first, where no folder can be listed."""
        return self._lab("checkpoints")

    @property
    def watched(self) -> str:
        """Channel (v3): the submitter of the job subscribes to it while it runs; nothing is ever published."""
        return self._lab("watched")

    @property
    def standstill(self) -> str:
        """String (with an expiry): why orders wait, as ``coffee_core.standstill`` writes it."""
        return self._lab("standstill")

    def idempotency(self, message_id: str) -> str:
        """Return the string (with an expiry) of the content first seen under this message id (v2, v3)."""
        return self._lab(f"idempotency:{message_id}")

    @property
    def letters(self) -> str:
        """Hash (v3, v4): partition:offset of a dead letter → ``requeued`` or ``dropped``."""
        return self._lab("letters")

    @property
    def offsets(self) -> str:
        """Hash (v4): partition → the offset below which every record has been counted or dropped."""
        return self._lab("offsets")

    @property
    def last_records(self) -> str:
        """Hash (v3, v4): partition → offset, time and hash of the last record below what has been read of it."""
        return self._lab("last_records")

    @property
    def acknowledged(self) -> str:
        """Hash (v3, v4): partition → offset and time (ms since the epoch) of its last acknowledged record.

        ``<partition>:truncated`` → acknowledged records that it has lost with its end.
        """
        return self._lab("acknowledged")

    @property
    def stored(self) -> str:
        """Hash (v4): partition → the offset below which every record is stored, as of a second ago."""
        return self._lab("stored")

    @property
    def storing_standstill(self) -> str:
        """String (with an expiry, v4): why orders are not stored, whether they are shown or not."""
        return self._lab("standstill:storing")

    @property
    def ids(self) -> tuple[str, str]:
        """Two sets (v4): message ids, 16 bytes each, that were counted of late, and those of the time before."""
        return self._lab("ids:new"), self._lab("ids:old")

    @property
    def watermark(self) -> str:
        """String (v3): everything dated before this has been counted, milliseconds since the epoch."""
        return self._lab("windows:watermark")

    @property
    def late(self) -> str:
        """Hash (v3): ``<store>:orders`` and ``<store>:revenue`` (cents) of orders too late for a window."""
        return self._lab("windows:late")

    def window(self, start_s: int) -> str:
        """Return the hash (v3, with an expiry) of one window: fields as of ``late``.

        ``start_s`` is its first second since the epoch.
        """
        return self._lab(f"windows:{start_s}")
