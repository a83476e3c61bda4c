"""The live audit's view of v4: what is shown and not stored yet is on its way, not lost."""

from typing import Any

import pytest

from backend.clients.kafka import LogState
from backend.pipelines.live import Counts, balance
from backend.pipelines.v4_workers.status import GroupsLog
from coffee_core.pipelines.constants import V4
from coffee_core.totals import PipelineCounts


class End:
    """A topic of one partition with ten records, and how far a group has come."""

    def __init__(self, committed: int | None) -> None:
        self.committed = committed

    async def read(self) -> LogState:
        return LogState({0: (0, 10)}, {0: 10}, None if self.committed is None else {0: self.committed})


async def look(stored_to: int | None, rows: int) -> PipelineCounts:
    assert V4.info.log is not None
    log: Any = GroupsLog(None, V4.info.log)
    log._end, log._workers = End(10), End(stored_to)
    length = await log.length()
    counts = Counts(10, counted=10)
    return balance(log, counts, rows, counts, length)


@pytest.mark.parametrize(("stored_to", "rows"), [(10, 10), (6, 6), (6, 8), (None, 3)])
async def test_what_the_workers_have_yet_to_store_is_neither_lost_nor_adrift(
    stored_to: int | None, rows: int
) -> None:
    counts = await look(stored_to, rows)
    assert (counts.accepted, counts.lost, counts.drift) == (10, 0, 0)


async def test_what_they_have_passed_and_is_no_row_is_lost() -> None:
    counts = await look(10, 9)
    assert (counts.lost, counts.drift) == (1, 1)
    counts = await look(6, 4)
    assert (counts.lost, counts.drift) == (2, 2)
