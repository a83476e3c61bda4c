"""What a dashboard may have to show, still: a healthy stack, a part down, a backlog, lost connections."""

import math
from dataclasses import replace

from coffee_core.menu import DRINKS, STORES
from coffee_core.pipelines import DEFAULT_PIPELINES, Pipeline
from coffee_core.totals import PipelineCounts
from coffee_tui.data.load_plan import LoadPlan
from coffee_tui.data.snapshot import (
    CostView,
    Health,
    KeyOrder,
    Link,
    Mood,
    OrdersView,
    PartCost,
    PartView,
    PipelineView,
    Quantiles,
    Snapshot,
    Stage,
    StatusLine,
)

NOW_US = 1_700_000_000_000_000
V1, V2, V3 = DEFAULT_PIPELINES
_PARTS = (
    "cafe-order-aggregator",
    "cafe-order-api",
    "flink-job",
    "flink-jobmanager",
    "flink-taskmanager",
    "kafka",
    "postgres",
    "redis",
    "stream-worker",
)
_COSTS = {V1: CostView("cron", 7, 96), V2: CostView("worker", 9, 61), V3: CostView("Kafka + Flink", 31, 1_100)}
_SLOTS = 300


def _wave(middle: float, swing: float, period_s: int, shift_s: int) -> tuple[float, ...]:
    turns = (2 * math.pi * (second + shift_s) / period_s for second in range(_SLOTS))
    return tuple(round(middle * (1 + swing * math.sin(turn)), 1) for turn in turns)


def _view(
    pipeline: Pipeline, orders: int, api: Quantiles, dashboard: Quantiles, status: StatusLine
) -> PipelineView:
    shift = 7 * int(pipeline[1])
    labels = tuple(stage.label for stage in pipeline.info.chain)
    return PipelineView(
        pipeline,
        orders,
        orders * 470,
        tuple(zip(DRINKS, (orders * 42 // 100, orders * 23 // 100, orders * 35 // 100), strict=True)),
        tuple(zip(STORES, (orders * share // 100 for share in (27, 31, 24, 18)), strict=True)),
        204.0,
        api,
        dashboard,
        _wave(200, 0.1, 23, shift),
        _wave(api.p99_us or 0, 0.5, 31, shift),
        _wave(dashboard.p99_us or 0, 0.4, 17, shift),
        None,
        (*(Stage(label, Health.GOOD, 204.0) for label in labels[:-1]), Stage(labels[-1], Health.GOOD)),
        status,
        PipelineCounts(orders + 5, orders, orders, 0, 3, 2, 0, 0, 0),
        _COSTS[pipeline],
    )


def _waiting(view: PipelineView, orders: int, rate: float, processor: Health = Health.GOOD) -> tuple[Stage, ...]:
    first, log, next_one, last = view.chain
    return (
        first,
        replace(log, waiting=orders, rate=rate),
        replace(next_one, health=processor, rate=rate),
        last,
    )


def healthy() -> Snapshot:
    """Return a stack that takes 204 orders a second into each pipeline."""
    at_next_run = StatusLine("in step at next run, in 4 s")
    v1 = _view(V1, 10_418, Quantiles(900, 3_800), Quantiles(5_100_000, 9_900_000), at_next_run)
    v1 = replace(
        v1,
        chain=_waiting(v1, 1_988, 204.0),
        counts=PipelineCounts(12_406, 12_406, 10_418, 1_988, 0, 0, 0, 0, 0),
        dashboard_history=tuple(1e6 * (second % 10 + 1) for second in range(_SLOTS)),
    )
    queued = StatusLine("in step, less than a second queued", Mood.GOOD)
    shown = StatusLine("in step, orders shown as they come", Mood.GOOD)
    return Snapshot(
        (
            v1,
            _view(V2, 12_391, Quantiles(400, 1_900), Quantiles(3_100, 9_800), queued),
            _view(V3, 12_385, Quantiles(1_200, 4_400), Quantiles(7_000, 21_000), shown),
        ),
        Link(True, NOW_US),
        Link(True, NOW_US),
        "live",
        tuple(PartView(name, Health.GOOD, "up") for name in _PARTS),
        761,
        shared=(CostView("api", 12, 84), CostView("postgres", 9, 120), CostView("redis", 3, 12)),
    )


def loaded() -> Snapshot:
    """Return the same, with what each part costs."""
    parts = (
        PartCost("cafe-order-api", "", 31, 2, 480, 84),
        PartCost("cafe-order-aggregator", "v1", 1, 0, 15, 61),
        PartCost("flink-jobmanager", "v3", 4, 3, 49, 410),
        PartCost("flink-taskmanager-1", "v3", 38, 6, 1_600, 690),
        PartCost("kafka", "v3", 17, 4, 640, 520),
        PartCost("postgres", "", 22, 1, 350, 120),
        PartCost("redis", "", 8, 1, 110, 12),
        PartCost("stream-worker-1", "v2", 11, None, None, 58),
    )
    return replace(healthy(), costs=parts)


def part_down() -> Snapshot:
    """Return the same with a killed TaskManager: orders pile up before it."""
    stack = healthy()
    v3 = _view(V3, 11_022, Quantiles(1_200, 4_400), Quantiles(7_000, 21_000), StatusLine(""))
    v3 = replace(
        v3,
        rate=0.0,
        chain=_waiting(v3, 1_369, 0.0, Health.BROKEN),
        stalled_s=4,
        dashboard=Quantiles(),
        rate_history=(*v3.rate_history[:-5], *(0.0,) * 5),
        dashboard_history=(*v3.dashboard_history[:-5], *(None,) * 5),
        status_line=StatusLine("flink-taskmanager backoff for 4 s · killed by SIGKILL", Mood.BROKEN),
        counts=PipelineCounts(12_391, 11_022, 11_022, 1_369, 0, 0, 0, 0, 0),
    )
    parts = tuple(
        replace(part, health=Health.BROKEN, word="backoff") if part.name == "flink-taskmanager" else part
        for part in stack.parts
    )
    return replace(
        stack,
        pipelines=(*stack.pipelines[:2], v3),
        parts=parts,
        fault="kill taskmanager",
        faults=(*(False,) * (_SLOTS - 5), *(True,) * 5),
    )


def backlog() -> Snapshot:
    """Return the same after a burst into v2: a queue that drains."""
    stack = healthy()
    v2 = stack.pipelines[1]
    late = Quantiles(2_600_000, 4_300_000)
    v2 = replace(
        v2,
        rate=9_800.0,
        dashboard=late,
        rate_history=(*v2.rate_history[:-3], *(9_100.0, 9_750.0, 9_800.0)),
        dashboard_history=(*v2.dashboard_history[:-3], *(1_200_000.0, 2_900_000.0, 4_300_000.0)),
        chain=_waiting(v2, 41_369, 9_800.0),
        status_line=StatusLine("41,369 queued, draining at 9,800/s, 4.2 s left", Mood.BUSY),
        counts=PipelineCounts(53_760, 12_391, 12_391, 41_369, 0, 0, 0, 0, 0),
    )
    return replace(stack, pipelines=(stack.pipelines[0], v2, stack.pipelines[2]))


def standstill() -> Snapshot:
    """Return the same with a job that cannot start, of which every part is up: orders are taken and wait."""
    stack = healthy()
    v3 = _view(V3, 11_022, Quantiles(1_200, 4_400), Quantiles(), StatusLine(""))
    reason = "no checkpoint can be read: RocksDBException: Sst file size mismatch: 000014.sst. Expected 2294700"
    v3 = replace(
        v3,
        rate=0.0,
        chain=_waiting(v3, 1_369, 0.0),
        stalled_s=9,
        rate_history=(*v3.rate_history[:-9], *(0.0,) * 9),
        dashboard_history=(*v3.dashboard_history[:-9], *(None,) * 9),
        status_line=StatusLine(reason, Mood.BROKEN, "`coffee replay v3` counts the topic anew"),
        counts=PipelineCounts(12_391, 11_022, 11_022, 1_369, 0, 0, 0, 0, 0),
    )
    return replace(stack, pipelines=(*stack.pipelines[:2], v3))


def connection_lost() -> Snapshot:
    """Return the same with Redis gone: what is shown is old."""
    stack = healthy()
    status = StatusLine("Redis silent since 12:00:00: connection refused", Mood.BROKEN)
    return replace(
        stack,
        redis=Link(False, NOW_US, "connection refused"),
        pipelines=tuple(replace(view, status_line=status, chain=_without_redis(view)) for view in stack.pipelines),
        parts=tuple(
            replace(part, health=Health.BROKEN, word="no answer") if part.name == "redis" else part
            for part in stack.parts
        ),
    )


def api_silent() -> Snapshot:
    """Return the same with an API that does not answer: the totals go on, what it counted is old."""
    stack = healthy()
    status = StatusLine("API silent since 12:00:00: no answer", Mood.BROKEN)
    return replace(
        stack,
        api=Link(False, NOW_US, "no answer"),
        uptime_s=None,
        shared=(),
        pipelines=tuple(
            replace(view, status_line=status, api=Quantiles(), counts_age_s=14, cost=None)
            for view in stack.pipelines
        ),
        parts=tuple(
            replace(part, health=Health.BROKEN, word="backoff") if part.name == "cafe-order-api" else part
            for part in stack.parts
        ),
    )


def coming_up() -> Snapshot:
    """Return a stack that starts: the servers are there, the pipelines wait for one another."""
    words = {"kafka": "starting", "flink-jobmanager": "starting", "flink-taskmanager": "waiting"}
    details = {"flink-taskmanager": "needs flink-jobmanager", "flink-job": "needs kafka, flink-jobmanager"}
    words |= dict.fromkeys(("flink-job", "cafe-order-api", "stream-worker", "cafe-order-aggregator"), "waiting")
    parts = tuple(
        PartView(name, Health(words.get(name, "up")), words.get(name, "up"), details.get(name, ""))
        for name in _PARTS
    )
    status = {V1: "waits for cafe-order-api", V2: "waits for cafe-order-api", V3: "kafka starting for 3 s"}
    views = tuple(
        PipelineView(
            each,
            0,
            drinks=tuple((drink, 0) for drink in DRINKS),
            stores=tuple((store, 0) for store in STORES),
            chain=tuple(Stage(stage.label, Health.WAITING) for stage in each.info.chain),
            status_line=StatusLine(status[each], Mood.BUSY),
        )
        for each in DEFAULT_PIPELINES
    )
    return Snapshot(views, Link(True, NOW_US), Link(), "live", parts)


def _without_redis(view: PipelineView) -> tuple[Stage, ...]:
    return tuple(
        replace(stage, health=Health.BROKEN) if stage.label in ("Redis", "stream", "PG, Redis") else stage
        for stage in view.chain
    )


def orders() -> OrdersView:
    """Return a running load, and an order by each key."""
    done = {V1: (201, 12_800), V2: (202, 3_100), V3: (202, 7_100)}
    keys = (
        KeyOrder(pipeline, "latte at uptown, $ 5.00", "acknowledged", status, "", took_us)
        for pipeline, (status, took_us) in done.items()
    )
    return OrdersView(
        LoadPlan(rate_per_s=200),
        running=True,
        offered_per_s=600.0,
        answered_per_s=599.8,
        sent=37_188,
        acknowledged=37_180,
        rejected=8,
        in_flight=2,
        burst="1,000 each at 12:00:07",
        keys=tuple(keys),
    )
