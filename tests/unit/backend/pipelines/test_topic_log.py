"""The live audit's view of v3's topic: how many of its offsets hold records that the job has yet to count."""

from typing import Any

import pytest

from backend.clients.kafka import Bounds, LogState, above
from backend.pipelines.live import Counts
from backend.pipelines.topic.status import TopicLog
from coffee_core.pipelines.constants import V3


class Topic(TopicLog):
    """A topic of one partition whose states a test tells."""

    def __init__(self) -> None:
        assert V3.info.log is not None
        super().__init__(None, V3.info.log)
        self._end = self  # type: ignore[assignment]
        self.state: LogState | None = None
        self.records = 0
        self.counted: list[Bounds] = []

    async def read(self) -> LogState | None:
        return self.state

    async def count(self, bounds: Bounds) -> int:
        self.counted.append(bounds)
        return self.records

    async def look(self, end: int, committed: int | None, processed: int, **more: int) -> int | None:
        """Look once and return what is in flight; ``stable`` is where an open transaction begins."""
        offsets = None if committed is None else {0: committed}
        self.state = LogState({0: (more.get("first", 0), more.get("stable", end))}, {0: end}, offsets)
        counts = Counts(processed, counted=processed)
        return self.logged(counts, processed, counts, await self.length()).in_flight


async def test_without_holes_it_is_what_the_job_has_not_counted_whatever_was_committed() -> None:
    topic = Topic()
    assert await topic.look(end=10, committed=0, processed=4) == 6
    assert await topic.look(end=20, committed=0, processed=15) == 5
    assert await topic.look(end=20, committed=15, processed=20) == 0
    assert await topic.look(end=30, committed=20, processed=20) == 10
    assert await topic.look(end=30, committed=20, processed=30) == 0
    assert topic.counted == []


async def test_a_hole_is_none_in_flight_once_the_offsets_behind_it_are_committed() -> None:
    topic = Topic()
    assert await topic.look(end=10, committed=0, processed=8) == 2
    assert await topic.look(end=10, committed=10, processed=8) == 2
    assert await topic.look(end=10, committed=10, processed=8) == 0
    # And is none ever after, also under load.
    assert await topic.look(end=14, committed=10, processed=9) == 3
    assert await topic.look(end=14, committed=10, processed=12) == 0


async def test_holes_at_the_end_are_found_by_reading_once_where_nothing_moves() -> None:
    topic = Topic()
    looks = [await topic.look(end=10, committed=6, processed=6) for _ in range(6)]
    assert looks[0] == 4
    assert looks[-1] == 0
    assert topic.counted == [{0: (6, 10)}]


async def test_a_record_that_waits_stays_in_flight() -> None:
    topic = Topic()
    topic.records = 1
    assert [await topic.look(end=10, committed=6, processed=6) for _ in range(6)][-1] == 1


async def test_a_replay_counts_from_nothing_whatever_the_job_before_it_had_committed() -> None:
    topic = Topic()
    assert await topic.look(end=10, committed=10, processed=10) == 0
    assert await topic.look(end=10, committed=0, processed=3) == 7
    assert await topic.look(end=10, committed=0, processed=5) == 5
    assert await topic.look(end=10, committed=10, processed=10) == 0


async def test_where_offsets_are_not_told_the_counts_alone_tell() -> None:
    topic = Topic()
    assert [await topic.look(end=10, committed=None, processed=8) for _ in range(3)] == [2, 2, 2]


async def test_behind_a_transaction_that_is_open_everything_waits_and_it_is_named() -> None:
    topic = Topic()
    assert await topic.look(end=9, committed=5, stable=5, processed=5) == 4
    assert topic.blocked is None
    assert await topic.look(end=10, committed=5, stable=5, processed=5) == 5
    assert topic.blocked is not None
    assert "a transaction is open on the topic orders" in topic.blocked.reason
    assert await topic.look(end=11, committed=5, processed=5) == 6
    assert topic.blocked is None


async def test_of_a_topic_that_was_made_anew_nothing_is_claimed() -> None:
    topic = Topic()
    await topic.look(end=100, committed=100, processed=100)
    counts = Counts(160, counted=160)
    topic.state = LogState({0: (0, 60)}, {0: 60}, {0: 60})
    logged = topic.logged(counts, 160, counts, await topic.length())
    assert (logged.accepted, logged.in_flight) == (None, None)


@pytest.mark.parametrize(
    ("offsets", "rest"), [({}, (3, 9)), ({0: 0}, (3, 9)), ({0: 7}, (7, 9)), ({0: 99}, (9, 9)), ({1: 5}, (3, 9))]
)
def test_what_lies_above_offsets_is_within_the_bounds(offsets: dict[int, int], rest: Any) -> None:
    assert above({0: (3, 9)}, offsets) == {0: rest}
