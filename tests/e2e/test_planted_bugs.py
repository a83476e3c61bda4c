"""A checker must be able to fail: bugs planted into a copy of the lab are found by a cell, and named right."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from backend.lab.chaos.evidence import Shelf
from backend.lab.chaos.experiment import Plan, run_under_load
from backend.lab.chaos.fault_result import FaultResult
from backend.lab.chaos.faults import FAULTS
from backend.lab.chaos.target import TargetStack
from backend.lab.recheck import recheck
from coffee_core.pipelines import Pipeline
from coffee_core.pipelines.constants import V1, V2, V5
from tests.e2e.engine import change, project_copy
from tests.e2e.lab import Lab

pytestmark = pytest.mark.slow

RATE_PER_S = 60
SETTLED_WITHIN_S = 10
Patch = tuple[str, str, str]
"""A file below ``backend/pipelines``, what stands there once, and what takes its place."""


@dataclass(frozen=True)
class Bug:
    """A bug, the cell that is to find it, and by what name."""

    pipeline: Pipeline
    patches: tuple[Patch, ...]
    fault: str
    named: Callable[[FaultResult], bool]
    """Whether the run names it."""
    found: frozenset[str]
    """What the second judge must find; it may find more, but not of ``never``."""
    never: frozenset[str] = field(default_factory=frozenset)


BUGS = {
    "a worker that acknowledges first": Bug(
        V2,
        (
            (
                "v2_streams/batch.py",
                "        return answer[0][1] if answer else []\n",
                """        if answer and answer[0][1]:
            ids = [entry_id for entry_id, _ in answer[0][1]]
            await self._client.xack(STREAM, STREAM_GROUP, *ids)
            await self._client.xdel(STREAM, *ids)
        return answer[0][1] if answer else []
""",
            ),
            (
                "v2_streams/apply_batch.lua",
                "if pending[id] or redis.call('XACK', stream, group, id) == 1 then",
                "if id then",
            ),
        ),
        "kill-postgres",
        lambda cell: bool(cell.verdict.lost) and any("log does not balance" in line for line in cell.wrong),
        frozenset({recheck.LOST}),
        frozenset({recheck.DUPLICATED, recheck.DRIFT}),
    ),
    "a retry without a key": Bug(
        V1,
        (
            (
                "v1_direct/ingest.py",
                "        stored = await self._insert_one(row)\n",
                """        stored = None
        for _ in range(20):
            try:
                stored = await self._insert_one(row)
                break
            except (OutcomeUnknownError, UnavailableError):
                await asyncio.sleep(0.4)
                row = (uuid4(), *row[1:])
""",
            ),
            (
                "v1_direct/ingest.py",
                "from coffee_core.errors import KeyConflictError, OutcomeUnknownError\n",
                "from coffee_core.errors import KeyConflictError, OutcomeUnknownError, UnavailableError\n",
            ),
            ("v1_direct/ingest.py", "from uuid import UUID\n", "from uuid import UUID, uuid4\n"),
        ),
        "freeze-postgres",
        lambda cell: bool(cell.verdict.duplicated) and not cell.verdict.lost,
        frozenset({recheck.DUPLICATED}),
        frozenset({recheck.LOST, recheck.DRIFT}),
    ),
    "a read-modify-write": Bug(
        V5,
        (
            (
                "v5_live/queries.sql",
                """    order by 2, 3
    on conflict (slot, drink, store) do update set
        orders = kept.orders + excluded.orders,
""",
                """    order by 2, 3
    on conflict (slot, drink, store) do update set
        orders = excluded.orders + coalesce((
            select read.orders from v5_totals as read
            where (read.slot, read.drink, read.store) = (kept.slot, kept.drink, kept.store)
        ), 0),
""",
            ),
        ),
        "slow-postgres",  # what piles up while it stands is then committed all at once
        lambda cell: cell.drift.orders < 0 and not cell.verdict.lost,
        frozenset({recheck.DRIFT}),
        frozenset({recheck.LOST, recheck.DUPLICATED}),
    ),
    "a pending list never claimed": Bug(
        V2,
        (
            (
                "v2_streams/worker.py",
                "_own_pending = True\n        self._metrics",
                "_own_pending = False\n        self._metrics",
            ),
            ("v2_streams/worker.py", "self._claim_due_s = 0.0", 'self._claim_due_s = float("inf")'),
        ),
        "kill-postgres",
        lambda cell: bool(cell.verdict.lost) and any("still in flight" in line for line in cell.wrong),
        frozenset({recheck.LOST}),
        frozenset({recheck.DUPLICATED, recheck.DRIFT}),
    ),
}
"""Bug by its name."""
# Two aggregators, one of them slow: without the fence an older total overwrites a newer one, until the next run.
TWO_AGGREGATORS = (
    (
        "v1_direct/aggregator.py",
        "        work.append(run_aggregator(stop, *urls, settings.aggregator_interval_s))\n",
        "        work += [run_aggregator(stop, *urls, settings.aggregator_interval_s) for _ in range(2)]\n",
    ),
    (
        "v1_direct/aggregator.py",
        "        self._last_us = 0\n",
        """        self._last_us = 0
        Aggregator.made = getattr(Aggregator, "made", 0) + 1
        self._late_s = 1.5 * (Aggregator.made % 2)
""",
    ),
    (
        "v1_direct/aggregator.py",
        "        return await write_totals(self._client, previous, run, self._last_us, next_run_us)\n",
        """        await asyncio.sleep(self._late_s)
        return await write_totals(self._client, previous, run, self._last_us, next_run_us)
""",
    ),
)
NO_FENCE = ("write_totals.lua", "if (redis.call('GET', fence) or '') ~= ARGV[1] then", "if false then")


def planted(folder: Path, pipelines: str, *patches: Patch) -> Lab:
    """Return a lab, not started, of a copy with these patches."""
    project = project_copy(folder / "project")
    for path, old, new in patches:
        change(project / "backend" / "pipelines" / path, old, new)
    lab = Lab(folder / "home", pipelines, project, COFFEE_V5_TOTALS="hot")
    lab.expected = {"postgres", "redis", "cafe-order-api", "cafe-order-aggregator"}
    lab.expected |= {"stream-worker"} if "v2" in pipelines else set()
    lab.expected |= {"live-projector"} if "v5" in pipelines else set()
    return lab


def cell(lab: Lab, fault: str, pipeline: Pipeline, lasts_s: float) -> tuple[FaultResult, recheck.Judged]:
    """Run a cell of the matrix against a lab; return what the run says, and what the second judge does."""
    shelf = Shelf(lab.home.parent / "evidence", 1_000_000_000, f"coffee chaos {fault}")
    plan = Plan((pipeline,), RATE_PER_S, lasts_s, settled_within_s=SETTLED_WITHIN_S, shelf=shelf)
    target = TargetStack.attach(lab.env)
    (result,) = asyncio.run(run_under_load(FAULTS[fault], target, plan, lambda text, **facts: None))
    assert result.evidence is not None
    (judged,) = recheck.recheck(result.evidence)
    return result, judged


@pytest.mark.parametrize(
    "names",
    [
        ("a worker that acknowledges first", "a retry without a key", "a read-modify-write"),
        ("a pending list never claimed",),
    ],
    ids=lambda names: ", ".join(names),
)
def test_a_planted_bug_is_found_and_named(tmp_path: Path, names: tuple[str, ...]) -> None:
    """Each in a pipeline of its own, so that several stand in one lab."""
    bugs = [BUGS[name] for name in names]
    patches = [patch for bug in bugs for patch in bug.patches]
    with planted(tmp_path, ",".join(["v1", *{bug.pipeline for bug in bugs} - {V1}]), *patches).running() as lab:
        for name, bug in zip(names, bugs, strict=True):
            result, judged = cell(lab, bug.fault, bug.pipeline, lasts_s=4)
            kinds = {found.kind for found in judged.findings}
            assert not result.exact, name
            assert bug.named(result), (name, result.summary_line(), result.details())
            assert kinds >= bug.found, (name, judged)
            assert not kinds & bug.never, (name, judged)


def test_an_aggregator_without_a_fence_is_found_by_what_was_seen(tmp_path: Path) -> None:
    with planted(tmp_path / "without", "v1,v2", *TWO_AGGREGATORS, NO_FENCE).running() as lab:
        result, judged = cell(lab, "freeze-stream-worker", V1, lasts_s=6)
    assert result.verdict.exact, "all is well in the end: the next run has it right"
    assert result.drift.orders == 0
    assert [line.partition(": ")[0] for line in result.wrong] == ["judged again"], result.wrong
    assert [found.kind for found in judged.findings] == [recheck.WENT_BACK], judged


def test_the_same_aggregators_with_their_fence_are_no_false_alarm(tmp_path: Path) -> None:
    with planted(tmp_path / "with", "v1,v2", *TWO_AGGREGATORS).running() as lab:
        result, judged = cell(lab, "freeze-stream-worker", V1, lasts_s=6)
    assert result.exact
    assert judged.findings == []
    assert judged.observations > 3
