"""The balance by counts: what is on its way is not lost, and what is lost is said."""

from backend.api.live_audit import FINDING_MUST_STAND_S, Steady
from backend.pipelines import live
from backend.pipelines.live import Counts
from backend.pipelines.operations import operations_of
from coffee_core.pipelines import Pipeline
from coffee_core.pipelines.constants import V1, V2, V3
from coffee_core.settings import Settings
from coffee_core.totals import PipelineCounts


def balance(pipeline: Pipeline, before: Counts, rows: int, after: Counts, length: int | None) -> PipelineCounts:
    log = operations_of(pipeline).open_live_log(Settings(), runs_here=False)
    return live.balance(log, before, rows, after, length)


def _findings(counts: PipelineCounts) -> tuple[int, int, int]:
    return counts.lost, counts.duplicated, counts.drift


def test_v1_has_rows_that_the_next_run_shows() -> None:
    found = balance(V1, Counts(90), 100, Counts(90), None)
    assert (found.accepted, found.stored, found.shown, found.in_flight) == (100, 100, 90, 10)
    assert _findings(found) == (0, 0, 0)


def test_v1_shown_without_a_row_is_lost() -> None:
    assert _findings(balance(V1, Counts(100), 97, Counts(100), None)) == (3, 0, 3)


def test_v2_under_load_is_in_step() -> None:
    before = Counts(shown=90, duplicates=4, dead=1, added=100, waiting=5)
    after = Counts(shown=99, duplicates=4, dead=1, added=112, waiting=8)
    found = balance(V2, before, 95, after, None)
    assert (found.accepted, found.in_flight) == (112, 8)
    assert _findings(found) == (0, 0, 0)


def test_v2_findings() -> None:
    counts = Counts(shown=100, added=100)
    assert _findings(balance(V2, counts, 98, counts, None)) == (2, 0, 2)
    assert _findings(balance(V2, counts, 103, counts, None)) == (0, 3, -3)
    flushed = Counts(shown=0, added=100)
    assert _findings(balance(V2, flushed, 100, flushed, None)) == (0, 0, -100)


def test_v3_counts_from_the_state_of_its_job() -> None:
    counts = Counts(shown=100, duplicates=3, dead=2, counted=100)
    found = balance(V3, counts, 100, counts, 115)
    assert (found.accepted, found.in_flight) == (115, 10)
    assert _findings(found) == (0, 0, 0)
    assert _findings(balance(V3, counts, 99, counts, 105)) == (1, 0, 1)


def test_v3_without_kafka_knows_what_it_knows() -> None:
    found = balance(V3, Counts(5, counted=5), 5, Counts(5, counted=5), None)
    assert (found.accepted, found.in_flight, found.stored) == (None, None, 5)
    assert _findings(found) == (0, 0, 0)


def test_a_finding_of_v3_must_stand_for_a_while() -> None:
    def found(rows: int) -> PipelineCounts:
        return balance(V3, Counts(10, counted=10), rows, Counts(10, counted=10), 10)

    steady = Steady()
    assert _findings(steady.of(found(8), 0.0)) == (0, 0, 0)
    assert _findings(steady.of(found(7), FINDING_MUST_STAND_S - 0.1)) == (0, 0, 0)
    assert _findings(steady.of(found(8), FINDING_MUST_STAND_S)) == (2, 0, 2)
    assert _findings(steady.of(found(10), FINDING_MUST_STAND_S + 1)) == (0, 0, 0), "the rows have followed"
