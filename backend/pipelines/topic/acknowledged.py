"""How many acknowledged records a topic has lost with its end.

A broker acknowledges what lies in its page cache. After a power cut it comes back without the end of its log,
and goes on there with other records: neither what is on the log nor what became of it tells how many were lost. So
each API keeps in Redis, beside the log, which record of each partition was acknowledged to it last. Where another
one is in its place, or none, the records from the first later one up to it are gone. Redis is told a moment after
the client, who never waits for it: what was acknowledged in the last ``REST_S`` before the cut may be missing, and
more where Redis was away. Which record is later the clocks of the APIs tell, or the log's.
"""

import asyncio
import logging
import re
from collections.abc import Awaitable, Mapping
from dataclasses import dataclass
from typing import cast

from aiokafka.errors import KafkaError
from redis.asyncio import Redis

from backend.clients.daemon import OUTAGES
from backend.clients.kafka import KafkaLogs, open_logs
from backend.clients.redis import RedisClient, Script
from coffee_core.errors import CoffeeError, OutcomeUnknownError, UnavailableError
from coffee_core.keys import MetricKeys
from coffee_core.pipelines import Pipeline
from coffee_core.resources import lua
from coffee_core.settings import Settings

_PACKAGE = "backend.pipelines.topic"
_KEEP, _TRUNCATE = (Script(lua(_PACKAGE, name)) for name in ("acknowledged", "truncated"))
REST_S = 0.05
"""Seconds between two writes: each is synced, and at 50/s it is written at once all the same."""
_RETRY_S = 1.0
_COMPARE_WITHIN_S = 30.0
_SKEW_MS = 1_000
"""Milliseconds by which a record that lies before another may be later than it, of several APIs: more than that is
a log that has gone back."""
_COMPARED = -1
_MARK = re.compile(r"([0-9]{1,15}) ([0-9]{1,15})")
_COUNT = re.compile(r"([0-9]{1,9}):truncated")

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Mark:
    """A record that was acknowledged."""

    offset: int
    time_ms: int
    """When its producer made it: milliseconds since the epoch."""

    def __str__(self) -> str:
        return f"{self.offset} {self.time_ms}"


@dataclass(frozen=True, slots=True)
class Kept:
    """What Redis keeps of a topic."""

    marks: Mapping[int, Mark]
    """Partition → the record that was acknowledged last."""
    truncated: Mapping[int, int]
    """Partition → acknowledged records that it has lost with its end, as far as an API has found out."""


@dataclass(frozen=True, slots=True)
class _Span:
    """Records of a partition that were acknowledged since the last write."""

    first: int
    last: Mark


class Acknowledged:
    """Keeps which record was acknowledged last, for as long as it runs."""

    def __init__(self, settings: Settings, redis: RedisClient, pipeline: Pipeline) -> None:
        assert pipeline.info.log is not None, f"{pipeline} has a topic"
        self._settings = settings
        self._redis = redis
        self._key = MetricKeys(pipeline).acknowledged
        self._topic = pipeline.info.log.name
        self._newest: dict[int, Mark] = {}
        self._unwritten: dict[int, _Span] = {}
        self._gone: dict[int, Mark] = {}
        """Partition → the last record before it went back."""
        self._compared = False
        """Whether what Redis keeps was compared with the topic since that may have gone back."""
        self._woken = asyncio.Event()

    def note(self, partition: int, first: int, last: int, time_ms: int) -> None:
        """Note a batch that was acknowledged: its first and last offset, and the time of the last."""
        before, mark = self._newest.get(partition), Mark(last, time_ms)
        self._woken.set()
        if before is not None and first <= before.offset:
            # The log has gone back; or this is an answer of before, which has come late.
            self._compared = False
            if time_ms >= before.time_ms:
                self._gone.setdefault(partition, before)
                self._newest[partition], self._unwritten[partition] = mark, _Span(first, mark)
            return
        pending = self._unwritten.get(partition)
        self._newest[partition] = mark
        self._unwritten[partition] = _Span(first if pending is None else pending.first, mark)

    async def run(self) -> None:
        """Write what was noted, forever."""
        while True:
            await self._woken.wait()
            self._woken.clear()
            try:
                if self._compared:
                    await self._write(_SKEW_MS)
                if not self._compared:
                    await self._compare()
                    await self._write(_COMPARED if self._compared else _SKEW_MS)
                await asyncio.sleep(REST_S)
            except (CoffeeError, KafkaError, *OUTAGES) as error:
                # Their own health tells; orders need neither.
                _log.debug("what was acknowledged of %s cannot be kept: %s", self._topic, error)
                self._woken.set()
                await asyncio.sleep(_RETRY_S)

    async def _write(self, skew_ms: int) -> None:
        """Write what was noted, but of partitions that may have gone back."""
        spans, self._unwritten = self._unwritten, {}
        try:
            doubtful = await self._keep(spans, skew_ms)
        except (UnavailableError, OutcomeUnknownError):
            self._put_back(spans)
            raise
        if doubtful:
            self._put_back({int(number): spans[int(number)] for number in doubtful})
            self._compared = False

    async def _keep(self, spans: Mapping[int, _Span], skew_ms: int) -> list[bytes]:
        noted = [(number, each.first, each.last.offset, each.last.time_ms) for number, each in spans.items()]
        values = [value for each in noted for value in each]
        doubtful: list[bytes] = await self._redis.call(_KEEP, (self._key,), skew_ms, *values) if values else []
        return doubtful

    def _put_back(self, spans: Mapping[int, _Span]) -> None:
        for number, span in spans.items():
            newer = self._unwritten.get(number)
            if newer is None:
                self._unwritten[number] = span
            elif number not in self._gone:
                self._unwritten[number] = _Span(span.first, newer.last)

    async def _compare(self) -> None:
        """Count what the topic has lost; raises the errors of both servers."""
        self._compared, gone = True, dict(self._gone)
        try:
            async with asyncio.timeout(_COMPARE_WITHIN_S):
                await self._keep({number: _Span(mark.offset, mark) for number, mark in gone.items()}, _COMPARED)
                fields = await self._redis.command("HGETALL", self._key)
                texts = [field.decode(errors="replace") for field in fields]
                kept = parse_kept(self._key, dict(zip(texts[::2], texts[1::2], strict=True)))
                if kept.marks:
                    await self._count(kept.marks)
        except BaseException:
            self._compared = False
            raise
        for number, mark in gone.items():
            if self._gone.get(number) == mark:
                del self._gone[number]

    async def _count(self, marks: Mapping[int, Mark]) -> None:
        resumed = {number: span.first for number, span in self._unwritten.items()}
        async with open_logs(self._settings) as logs:
            bounds = await logs.bounds(self._topic)
            if unknown := marks.keys() - bounds.keys():
                raise CoffeeError(f"{self._topic} has no partition {', '.join(map(str, sorted(unknown)))}")
            truncated = await _truncated(logs, self._topic, marks, resumed)
        for number, records in truncated.items():
            if await self._redis.call(_TRUNCATE, (self._key,), number, str(marks[number]), records):
                _log.warning(
                    "%s has lost its end: of partition %d %d records that were acknowledged are gone",
                    *(self._topic, number, records),
                )


def parse_kept(key: str, fields: Mapping[str, str]) -> Kept:
    """Read the fields of the hash. Raises CoffeeError where they hold what nobody writes."""
    marks, truncated = {}, {}
    for name, text in fields.items():
        if name.isdecimal() and (mark := _MARK.fullmatch(text)):
            marks[int(name)] = Mark(*map(int, mark.groups()))
        elif (number := _COUNT.fullmatch(name)) and text.isdecimal():
            truncated[int(number[1])] = int(text)
        else:
            raise CoffeeError(f"{key} holds what nobody writes ({name!r}: {text!r}); delete it")
    return Kept(marks, truncated)


async def read_truncated(client: Redis, logs: KafkaLogs, pipeline: Pipeline) -> dict[int, int]:
    """Return partition → acknowledged records that it has lost with its end, of those that have lost any.

    Raises the errors of both servers, and CoffeeError where Redis holds what nobody writes.
    """
    assert pipeline.info.log is not None, f"{pipeline} has a topic"
    key = MetricKeys(pipeline).acknowledged
    kept = parse_kept(key, await cast("Awaitable[dict[str, str]]", client.hgetall(key)))
    found = await _truncated(logs, pipeline.info.log.name, kept.marks, {}) if kept.marks else {}
    numbers = sorted(found.keys() | kept.truncated.keys())
    return {number: found.get(number, 0) + kept.truncated.get(number, 0) for number in numbers}


async def _truncated(
    logs: KafkaLogs, topic: str, marks: Mapping[int, Mark], resumed: Mapping[int, int]
) -> dict[int, int]:
    """Return of these marks' partitions those that have lost records, with how many.

    ``resumed``: partition → an offset that was acknowledged since, if any.
    """
    # The ends first: what comes meanwhile is not taken for a transaction that is open.
    ends, bounds = await logs.ends(topic), await logs.bounds(topic)
    truncated = {}
    for number, mark in marks.items():
        first, last = bounds.get(number, (0, 0))
        # What was deleted from the beginning on has not lost its end; behind an open transaction nobody can read.
        if mark.offset < first or last <= mark.offset < ends.get(number, 0):
            continue
        if mark.offset < last:
            within = {number: (mark.offset, mark.offset + 1)}
            found = [record.time_ms async for batch in logs.records(topic, within) for record in batch]
            if found == [mark.time_ms]:
                continue
        # What took the place of the records that are gone is later than the last one of them.
        later = await logs.first_later(topic, number, mark.time_ms) if number in bounds else None
        end = min(last if later is None else later, resumed.get(number, last))
        truncated[number] = max(1, mark.offset + 1 - end)
    return truncated


def truncation(truncated: Mapping[int, int], topic: str) -> str:
    """Say what a topic has lost."""
    numbers = ", ".join(map(str, truncated))
    return (
        f"of {topic} partition {numbers} has lost its end, and with it {sum(truncated.values()):,} records that"
        " were acknowledged: those that are no rows are lost"
    )
