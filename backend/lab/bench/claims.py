"""The comparison table: every row with what was claimed of each pipeline and what was measured here."""

from collections.abc import Callable
from dataclasses import dataclass

from backend.lab.bench.harness import periodic
from backend.lab.bench.load_run import duration
from backend.lab.bench.result import Result
from backend.lab.bench.size import SIZES
from backend.lab.bench.steps_drain import runs_on_flink
from coffee_core.pipelines import LogKind, Pipeline, Repair

NOT_MEASURED = "not measured"
"""What stands where a figure is missing."""


@dataclass(frozen=True, slots=True)
class ClaimRow:
    """A line of the table."""

    aspect: str
    claim: str
    """Name of the claim in ``coffee_core.pipelines.declaration.Claims``."""
    measured: Callable[[Result, Pipeline], str]

    def claim_of(self, pipeline: Pipeline) -> str:
        """Return what is claimed of a pipeline."""
        claimed: str = getattr(pipeline.info.claims, self.claim)
        return claimed


def spread(result: Result, name: str, show: Callable[[float], str]) -> str:
    """Return the middle of a figure, and from where to where its repetitions reach."""
    figure = result.figures.get(name)
    if figure is None:
        return NOT_MEASURED
    if len(figure.values) == 1:
        return show(figure.middle)
    return f"{show(figure.middle)} ({show(figure.low)} – {show(figure.high)})"


def _latency(kind: str) -> Callable[[Result, Pipeline], str]:
    def measured(result: Result, pipeline: Pipeline) -> str:
        by_runs = pipeline.info.shown_in_runs and kind == "dashboard"
        name = periodic(pipeline) if by_runs else f"{pipeline}.alone.{result.rates[0]}.{kind}"
        if result.figures.get(f"{name}.p50") is None:
            return NOT_MEASURED
        parts = (("p50", "p50"), ("p99", "p99"), ("p99.9", "p999"))
        found = [(words, f"{name}.{of}") for words, of in parts if result.figures.get(f"{name}.{of}") is not None]
        return ", ".join(f"{words} {spread(result, of, duration)}" for words, of in found)

    return measured


def _guarantee(result: Result, pipeline: Pipeline) -> str:
    found = result.audit.get(str(pipeline))
    if found is None:
        return NOT_MEASURED
    killed = result.flow.get(str(pipeline), {}).get("part")
    tail = f", {killed} killed once" if killed else ""
    counts = f"lost {found['lost']:,}, duplicated {found['duplicated']:,}, drift {found['drift']:,}"
    return f"{counts} of {found['stored']:,} orders{tail}"


def _persistence(result: Result, pipeline: Pipeline) -> str:
    policy = result.facts["durability"]
    log = pipeline.info.log
    if log is not None and log.kind is LogKind.TOPIC:
        return f"topic, {policy['kafka']}; the broker leaves the disk to the system"
    fsync = spread(result, "ceiling.fsync.p50", duration)
    if log is not None and log.kind is LogKind.STREAM:
        return f"append-only file, appendfsync {policy['appendfsync']}; a synced block takes {fsync}"
    return f"PostgreSQL, synchronous_commit {policy['synchronous_commit']}; a synced block takes {fsync}"


def _replay(result: Result, pipeline: Pipeline) -> str:
    if pipeline.info.log is None:
        anew = (
            "every run counts the whole table anew" if pipeline.info.shown_in_runs else "the rows are what is kept"
        )
        return f"no log; {anew}"
    waited = spread(result, f"{pipeline}.drain.whole", _seconds)
    taken_up = "" if waited == NOT_MEASURED else f"; a backlog was taken up in {waited}"
    if pipeline.info.log.kind is not LogKind.TOPIC:
        return f"what was pending when the worker died is delivered again{taken_up}"
    whole = f"; `coffee replay {pipeline}` counts from the first record on"
    begins = (
        "from its newest checkpoint" if runs_on_flink(pipeline) else "from the offsets kept with what was done"
    )
    return f"{begins}{taken_up}{whole if Repair.REPLAY in pipeline.info.repairs else ''}"


def _downtime(result: Result, pipeline: Pipeline) -> str:
    still = spread(result, f"{pipeline}.recovery", _seconds)
    if still == NOT_MEASURED:
        return NOT_MEASURED
    failed = result.figures.middle(f"{pipeline}.recovery.failed") or 0
    rate = spread(result, f"{pipeline}.drain.rate", _per_s)
    drained = "" if rate == NOT_MEASURED else f"; a backlog drains at {rate}"
    return f"killed: its dashboard stood still for {still}, {failed:,.0f} requests failed meanwhile{drained}"


def _aggregation(result: Result, pipeline: Pipeline) -> str:
    if pipeline.info.shown_in_runs:
        run = result.figures.middle(f"{pipeline}.table.run")
        rows = SIZES[result.size].table_rows
        full = "" if run is None else f"; with {rows:,} rows a run takes {_seconds(run)}"
        return f"one update of the dashboard every {result.facts['aggregator_interval_s']} s, by its setting{full}"
    updates = spread(result, f"{pipeline}.alone.{result.rates[-1]}.updates", _per_s)
    if updates == NOT_MEASURED:
        return NOT_MEASURED
    return f"{updates} updates of the dashboard at {result.rates[-1]:,} orders/s"


def _scalability(result: Result, pipeline: Pipeline) -> str:
    most = spread(result, f"{pipeline}.breakpoint", _per_s)
    if most == NOT_MEASURED:
        return NOT_MEASURED
    one, two = (result.figures.middle(f"{pipeline}.{name}.rate") for name in ("drain", "drain2"))
    kind = "slots" if runs_on_flink(pipeline) else "workers"
    gain = f"; two {kind} drain {two / one:.2f} times as fast as one" if one and two else ""
    return f"one process of each kind kept up with {most}{gain}"


def _seconds(value: float) -> str:
    return f"{value:.3g} s"


def _per_s(value: float) -> str:
    return f"{value:,.3g}/s" if value < 100 else f"{value:,.0f}/s"


ROWS = (
    ClaimRow("API response time", "api_response", _latency("api")),
    ClaimRow("Dashboard latency", "dashboard_latency", _latency("dashboard")),
    ClaimRow("Delivery guarantee", "delivery", _guarantee),
    ClaimRow("Message persistence", "persistence", _persistence),
    ClaimRow("Replay capability", "replay", _replay),
    ClaimRow("Worker downtime", "downtime", _downtime),
    ClaimRow("Aggregation", "aggregation", _aggregation),
    ClaimRow("Scalability", "scalability", _scalability),
)
