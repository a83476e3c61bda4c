"""What has become of an order: asked of the systems it passes, and unknown rather than guessed."""

from typing import NamedTuple, Protocol
from uuid import UUID

from backend.api import resources
from backend.api.outcome import OutcomeUnknownError, UnavailableError
from backend.api.postgres_backend import PostgresBackend
from backend.api.redis_backend import RedisBackend, Script
from coffee_core import keys
from coffee_core.clock import from_datetime
from coffee_core.pipelines import Pipeline

_STATUS = resources.text("select_status.sql")
_STATUS_V1 = resources.text("select_status_v1.sql")
_FIND = Script(resources.text("find_order.lua"))
_AWAY = (UnavailableError, OutcomeUnknownError)

LOOK_MS = 2_000
"""Milliseconds after its message id was made in which the API will have added an order to the stream."""
LOOK_ENTRIES = 1_000
"""Most entries of the stream that one question looks at."""


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


class DirectLookup:
    """v1: the row, and whether the snapshot of the last run has it."""

    def __init__(self, postgres: PostgresBackend, redis: RedisBackend) -> None:
        self._postgres = postgres
        self._redis = redis
        self._keys = keys.MetricKeys(Pipeline.V1)

    async def find(self, message_id: UUID) -> Found | None:
        """Ask PostgreSQL."""
        fence: bytes | None
        try:
            # Before the row: a run that comes in between makes this answer old, not wrong.
            fence, total = await self._redis.command(
                "MGET", self._keys.fence, self._keys.total_orders, reading=True
            )
            asked = True
        except _AWAY:
            fence, total, asked = None, None, False
        snapshot = None if fence is None or total is None else fence.decode().rpartition(" ")[0]
        row = await self._postgres.read(_STATUS_V1, message_id, snapshot)
        if row is None:
            return None
        shown = False if asked and snapshot is None else row["shown"]
        return Found(True, shown, from_datetime(row["accepted_at"]), from_datetime(row["stored_at"]))


class _OnLog:
    def __init__(self, postgres: PostgresBackend, redis: RedisBackend, pipeline: Pipeline) -> None:
        self._postgres = postgres
        self._redis = redis
        self._pipeline = pipeline
        self._keys = keys.MetricKeys(pipeline)

    async def _row(self, message_id: UUID) -> tuple[Found, str]:
        """Return what the table knows of it, and where on the log it was read."""
        try:
            row = await self._postgres.read(_STATUS, str(self._pipeline), message_id)
        except UnavailableError:
            return Found(None, None), ""
        if row is None:
            return Found(False, None), ""
        times = from_datetime(row["accepted_at"]), from_datetime(row["stored_at"])
        return Found(True, None, *times), row["source_id"]


class StreamsLookup(_OnLog):
    """v2: the memory of keys and the stream, then the row, then whether its entry has been counted."""

    def __init__(self, postgres: PostgresBackend, redis: RedisBackend) -> None:
        super().__init__(postgres, redis, Pipeline.V2)

    async def find(self, message_id: UUID) -> Found | None:
        """Ask Redis first: an order leaves the stream only after it has become a row."""
        text = str(message_id)
        made_ms = str(message_id.int >> 80) if message_id.version == 7 else ""
        known: bool | None
        try:
            names = (keys.STREAM, self._keys.idempotency(text))
            args = (text, made_ms, LOOK_MS, LOOK_ENTRIES)
            known = bool(await self._redis.call(_FIND, names, *args, reading=True))
        except _AWAY:
            known = None
        found, source_id = await self._row(message_id)
        if found.stored:
            return found._replace(shown=await self._is_counted(source_id))
        if known:
            return found._replace(shown=False if found.stored is False else None)
        if known is None or found.stored is None:
            raise UnavailableError("redis and postgres cannot both be asked, and neither knows the order")
        return None

    async def _is_counted(self, source_id: str) -> bool | None:
        # The worker counts an entry and deletes it in one script.
        try:
            return not await self._redis.command("XRANGE", keys.STREAM, source_id, source_id, reading=True)
        except _AWAY:
            return None


class LogLookup(_OnLog):
    """v3: the memory of keys, then the row; which orders Flink's totals contain nobody can tell."""

    def __init__(self, postgres: PostgresBackend, redis: RedisBackend) -> None:
        super().__init__(postgres, redis, Pipeline.V3)

    async def find(self, message_id: UUID) -> Found | None:
        """Ask Redis and PostgreSQL."""
        known: bool | None
        try:
            known = bool(
                await self._redis.command("EXISTS", self._keys.idempotency(str(message_id)), reading=True)
            )
        except _AWAY:
            known = None
        found, _ = await self._row(message_id)
        if found.stored or known:
            return found
        if known is None or found.stored is None:
            raise UnavailableError("redis and postgres cannot both be asked, and neither knows the order")
        return None
