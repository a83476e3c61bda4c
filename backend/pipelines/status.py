"""What has become of an order: how the API asks a pipeline, and what pipelines with a log have in common."""

from collections.abc import Callable
from typing import NamedTuple, Protocol
from uuid import UUID

from redis.exceptions import ResponseError

from backend.clients.postgres import PostgresPool
from backend.clients.redis import RedisClient
from coffee_core import keys
from coffee_core.clock import from_datetime
from coffee_core.errors import OutcomeUnknownError, UnavailableError
from coffee_core.pipelines import Pipeline
from coffee_core.resources import sql

_STATUS = sql("backend.pipelines", "select_status")
_STATUS_BY_SNAPSHOT = sql("backend.pipelines", "select_status_by_snapshot")
AWAY = (UnavailableError, OutcomeUnknownError)
"""What a server that cannot be asked raises."""


class Found(NamedTuple):
    """What is known of an order that was taken; None is what cannot be known."""

    stored: bool | None
    """Whether it is a row."""
    shown: bool | None
    """Whether the dashboard counts it."""
    accepted_us: int | None = None
    """When the API took it, by the API's clock: microseconds since the epoch; of a row alone."""
    stored_us: int | None = None
    """When its row was inserted, by PostgreSQL's clock: microseconds since the epoch."""


class Lookup(Protocol):
    """Where one pipeline is asked for an order."""

    async def find(self, message_id: UUID) -> Found | None:
        """Return what is known, or None of nothing at all; raises UnavailableError where nobody can be asked."""


class LoggedLookup:
    """The base of a lookup of a pipeline with a log: an order that is no row yet may be on its way."""

    def __init__(self, postgres: PostgresPool, redis: RedisClient, pipeline: Pipeline) -> None:
        self._postgres = postgres
        self._redis = redis
        self._pipeline = pipeline
        self._keys = keys.MetricKeys(pipeline)

    async def row(self, message_id: UUID) -> tuple[Found, str]:
        """Return what the table knows of it, and where on the log it was read."""
        try:
            row = await self._postgres.read(_STATUS, str(self._pipeline), message_id)
        except UnavailableError:
            return Found(None, None), ""
        if row is None:
            return Found(False, None), ""
        times = from_datetime(row["accepted_at"]), from_datetime(row["stored_at"])
        return Found(True, None, *times), row["source_id"]


class SnapshotLookup:
    """The lookup of a pipeline whose metrics are those of a snapshot: the row, and whether the snapshot has it."""

    def __init__(
        self,
        postgres: PostgresPool,
        redis: RedisClient,
        pipeline: Pipeline,
        snapshot_of: Callable[[str], str | None],
    ) -> None:
        """``snapshot_of`` reads the text of the pipeline's fence; raises ResponseError where it is none."""
        self._postgres = postgres
        self._redis = redis
        self._pipeline = pipeline
        self._keys = keys.MetricKeys(pipeline)
        self._snapshot_of = snapshot_of

    async def find(self, message_id: UUID) -> Found | None:
        """Ask PostgreSQL."""
        snapshot: str | None = None
        known = False
        try:
            # Before the row: a write that comes in between makes this answer old, not wrong.
            fence, total = await self._redis.command(
                "MGET", self._keys.fence, self._keys.total_orders, reading=True
            )
            if fence is not None and total is not None:
                snapshot = self._snapshot_of(fence.decode(errors="replace"))
            known = True
        except (*AWAY, ResponseError):
            pass  # what is shown cannot be told
        row = await self._postgres.read(_STATUS_BY_SNAPSHOT, str(self._pipeline), message_id, snapshot)
        if row is None:
            return None
        shown = False if known and snapshot is None else row["shown"]
        return Found(True, shown, from_datetime(row["accepted_at"]), from_datetime(row["stored_at"]))
