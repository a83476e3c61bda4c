"""The state behind the dashboard: readings and their history, put together into a snapshot."""

from collections import deque
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from coffee_core.menu import DRINKS, STORES
from coffee_core.pipelines import Pipeline, is_part
from coffee_core.pipelines.declaration import Stage as DeclaredStage
from coffee_core.runstate import Cost, PartState, State
from coffee_core.totals import PipelineCounts
from coffee_tui.data.history import LAST_UPDATE, SLOTS, Moment, PipelineHistory
from coffee_tui.data.load_costs import LoadCosts
from coffee_tui.data.readings import LabReading, MetricsReading, RedisReading, stream_of
from coffee_tui.data.snapshot import CostView, Health, Link, PartView, PipelineView, Quantiles, Snapshot, Stage
from coffee_tui.data.status_line import StatusInputs, status_line

_SHARED = (("api", ("cafe-order-api",)), ("postgres", ("postgres",)), ("redis", ("redis",)))
_WAITS_AT = 1
"""In every chain orders wait on the second link: before the cron, the worker, the job."""
_GRACE_S = 2.0
"""The API is read once a second and Redis at once: less than this is the reading, not the pipeline."""
_RESTART_SEEN_S = 2.0
"""A killed worker is back within 0.2 s, between two looks at the parts: so long it is shown that it was gone."""
_ONE_MOMENT_S = 3.0
"""The API counts once a second, and is asked once a second: counts that are older than this say so."""
_HEALTH = {
    State.WAITING: Health.WAITING,
    State.STARTING: Health.STARTING,
    State.UP: Health.GOOD,
    State.EXTERNAL: Health.GOOD,
    State.BACKOFF: Health.BROKEN,
    State.STOPPING: Health.BROKEN,
    State.STOPPED: Health.BROKEN,
}
_WORST_FIRST = (Health.BROKEN, Health.STARTING, Health.WAITING, Health.UNKNOWN, Health.GOOD)


class Stall:
    """Notices that accepted orders fail to become visible: the API's count grows, what Redis shows stands still.

    It never compares the two totals: repeats are accepted and not counted again, and the API counts from its own
    start. So it knows since when nothing was shown, never how many orders are missing.
    """

    def __init__(self) -> None:
        self._accepted: int | None = None
        self._shown: tuple[int, int] | None = None
        self._waiting_since_s: float | None = None
        self._asked_s = self._progress_s = float("-inf")
        self.waiting = 0
        """2xx answers seen since anything was last shown, repeats included."""

    def note_accepted(self, moment: Moment, total: int) -> None:
        """Take the API's count of 2xx answers."""
        if self._accepted is not None and total > self._accepted:
            self.waiting += total - self._accepted
            # What was shown since the API was asked before may be these very orders.
            if self._waiting_since_s is None and self._progress_s < self._asked_s:
                self._waiting_since_s = moment.at_s
        self._accepted, self._asked_s = total, moment.at_s

    def note_shown(self, moment: Moment, reading: MetricsReading) -> None:
        """Take what Redis shows: a new total, or a new update that dropped only repeats, is progress."""
        progress = (reading.orders, reading.counters.get(LAST_UPDATE, 0))
        if self._shown is not None and progress != self._shown:
            self.waiting = 0
            self._waiting_since_s = None
            self._progress_s = moment.at_s
        self._shown = progress

    def nothing_waits(self) -> None:
        """Note that no order waits: what was accepted and is not shown were repeats, which change nothing."""
        self.waiting = 0
        self._waiting_since_s = None

    def seconds(self, moment: Moment) -> int | None:
        """Return the whole seconds for which accepted orders have waited; None below ``_GRACE_S``."""
        if self._waiting_since_s is None:
            return None
        waited_s = moment.at_s - self._waiting_since_s
        return int(waited_s) if waited_s >= _GRACE_S else None


@dataclass(slots=True)
class _Column:
    history: PipelineHistory
    stall: Stall = field(default_factory=Stall)

    def note_queued(self, moment: Moment, queued: int | None) -> None:
        """Take how many orders wait; None where this reading does not say."""
        if queued is not None:
            self.history.add_queued(moment.at_s, queued)
        if queued == 0:
            self.stall.nothing_waits()


class DashboardState:
    """What was read last, and the histories of what was read before."""

    def __init__(self, pipelines: Sequence[Pipeline]) -> None:
        self._columns = {pipeline: _Column(PipelineHistory(pipeline)) for pipeline in pipelines}
        self._metrics: RedisReading | None = None
        self._lab: LabReading | None = None
        self._counted: tuple[float, LabReading] | None = None
        self._parts: tuple[PartState, ...] = ()
        self._restarted_s: dict[str, float] = {}
        self.redis = Link()
        self.api = Link()
        self.mode = "connecting"
        self.fault = ""
        self._faults: deque[bool] = deque(maxlen=SLOTS)
        self._load_costs = LoadCosts()

    def read_metrics(self, moment: Moment, reading: RedisReading) -> None:
        """Take a reading of Redis."""
        self._metrics = reading
        was_lost = self.redis.up is False
        self.redis = _link_up(self.redis, moment)
        for pipeline, column in self._columns.items():
            if was_lost:
                column.history.begin_anew()
            column.history.add_metrics(moment.at_s, reading.metrics[pipeline])
            column.stall.note_shown(moment, reading.metrics[pipeline])
            column.note_queued(moment, waiting(pipeline, None, reading.stream_entries))

    def read_lab(self, moment: Moment, reading: LabReading) -> None:
        """Take a reading of the API."""
        self._lab = reading
        # An API that counts at the moment nothing (PostgreSQL is away) says so: then there are none.
        self._counted = moment.at_s - reading.counts_age_s, reading
        self.read_parts(moment, reading.parts)
        self.api = _link_up(self.api, moment)
        for pipeline, column in self._columns.items():
            column.history.add_api(moment.at_s, reading.latency.get(pipeline, {}), reading.accepted(pipeline))
            column.stall.note_accepted(moment, reading.accepted(pipeline))
            column.note_queued(moment, waiting(pipeline, reading.counts.get(pipeline), None))
        accepted = {str(pipeline): reading.accepted(pipeline) for pipeline in map(Pipeline, reading.answers)}
        self._load_costs.note(moment.at_s, reading.costs, accepted)

    def read_parts(self, moment: Moment, parts: Sequence[PartState]) -> None:
        """Take the parts as their wrappers have published them."""
        restarts = {part.name: part.restarts for part in self._parts}
        for part in parts:
            if part.restarts > restarts.get(part.name, part.restarts):
                self._restarted_s[part.name] = moment.at_s
        self._parts = tuple(parts)

    def lost_redis(self, moment: Moment, why: str) -> None:
        """Note that Redis cannot be read."""
        self.redis = _link_down(self.redis, moment, why)

    def lost_api(self, moment: Moment, why: str) -> None:
        """Note that the API does not answer."""
        self.api = _link_down(self.api, moment, why)

    def slot(self, moment: Moment) -> None:
        """Close one second of the sparklines."""
        self._faults.append(bool(self.fault))
        for column in self._columns.values():
            column.history.slot(moment.at_s, unread=self.redis.up is False)

    def snapshot(self, moment: Moment) -> Snapshot:
        """Return what is to be shown now."""
        lab = self._lab if self.api.up else None
        just_restarted = {name for name, at_s in self._restarted_s.items() if moment.at_s - at_s < _RESTART_SEEN_S}
        parts = part_views(self._parts, lab, just_restarted)
        return Snapshot(
            pipelines=tuple(
                self._view(pipeline, column, parts, moment) for pipeline, column in self._columns.items()
            ),
            redis=self.redis,
            api=self.api,
            mode=self.mode,
            parts=parts,
            uptime_s=int(lab.uptime_s) if lab else None,
            durability=lab.durability if lab else "",
            fault=self.fault,
            faults=tuple(self._faults),
            shared=shared_costs(lab.costs) if lab else (),
            costs=self._load_costs.parts if lab else (),
        )

    def _view(
        self, pipeline: Pipeline, column: _Column, parts: Sequence[PartView], moment: Moment
    ) -> PipelineView:
        metrics = self._metrics.metrics[pipeline] if self._metrics else None
        lab = self._lab if self.api.up else None
        ready = lab.ready if lab else {}
        # What a silent API said last stays, with its age; what follows from it is of now, and does not.
        counts = self._counted[1].counts.get(pipeline) if self._counted else None
        age_s = moment.at_s - self._counted[0] if self._counted else 0.0
        counts_age_s = int(age_s) if counts is not None and age_s >= _ONE_MOMENT_S else None
        history = column.history
        # What nobody can read is not known: neither that nothing comes, nor that nothing is shown.
        unread = self.redis.up is False
        rate = None if unread else history.rate(moment.at_s)
        streams = self._metrics.stream_entries if self._metrics and not unread else None
        queued = waiting(pipeline, counts if lab else None, streams)
        never_stalls = pipeline.info.shown_in_runs or unread
        stages = pipeline.info.chain
        inputs = StatusInputs(
            pipeline=pipeline,
            redis=self.redis,
            api=self.api,
            mode=self.mode,
            now_us=moment.time_us,
            metrics=metrics,
            troubled=[part for stage in stages for part in parts_of(stage, parts) if not part.good],
            ready=ready.get(pipeline),
            runs=not (lab and lab.ready) or pipeline in ready,
            stalled_s=None if never_stalls else column.stall.seconds(moment),
            queued=queued,
            queue_growth=history.queue_growth(moment.at_s),
            counts=counts,
            counts_age_s=counts_age_s,
            rate=rate,
            interval_us=history.interval_us,
            accepted_since_run=column.stall.waiting,
            standstill=lab.standstills.get(pipeline) if lab else None,
        )
        return PipelineView(
            pipeline=pipeline,
            orders=metrics.orders if metrics else None,
            revenue_cents=metrics.revenue_cents if metrics else 0,
            drinks=tuple((drink, metrics.drinks.get(drink, 0) if metrics else 0) for drink in DRINKS),
            stores=tuple((store, metrics.stores.get(store, 0) if metrics else 0) for store in STORES),
            rate=rate,
            # Of the last ten seconds, which nobody knows of an API that is silent.
            api=history.api(moment.at_s) if self.api.up else Quantiles(),
            dashboard=history.dashboard(moment.at_s),
            rate_history=tuple(history.rates),
            api_history=tuple(history.api_p99),
            dashboard_history=tuple(history.dashboard_p99),
            stalled_s=inputs.stalled_s,
            chain=with_links(
                chain(pipeline, parts, self.redis, self.api, ready),
                (
                    history.accepted(moment.at_s) if lab else None,
                    None if unread else history.finished(moment.at_s),
                    rate,
                ),
                inputs.queued,
            ),
            status_line=status_line(inputs),
            counts=counts,
            counts_age_s=counts_age_s,
            cost=own_cost(pipeline, lab.costs) if lab else None,
        )


def _link_up(link: Link, moment: Moment) -> Link:
    return link if link.up else Link(True, moment.time_us)


def _link_down(link: Link, moment: Moment, why: str) -> Link:
    return Link(False, link.since_us if link.up is False else moment.time_us, why)


def part_views(
    parts: Sequence[PartState], lab: LabReading | None, just_restarted: Collection[str] = ()
) -> tuple[PartView, ...]:
    """Return how every part stands: the state its wrapper notes, corrected where the API cannot reach the part.

    Of those in ``just_restarted`` one that is up says that it was gone.
    """
    dependencies = lab.dependencies if lab else {}
    views = {part.name: _part_view(part) for part in parts}
    for name, dependency in dependencies.items():
        known = views.get(name)
        if known is None:
            health = Health.GOOD if dependency.up else Health.BROKEN
            views[name] = PartView(name, health, health.value, dependency.detail, dependency.since_us)
        elif known.health is Health.GOOD and not dependency.up:
            detail = dependency.detail or "the API cannot reach it"
            views[name] = PartView(name, Health.BROKEN, "no answer", detail, dependency.since_us)
    for name, view in views.items():
        if name in just_restarted and view.good:
            views[name] = replace(view, health=Health.STARTING, word="restarted, up")
    return tuple(views.values())


def _part_view(part: PartState) -> PartView:
    return PartView(part.name, _HEALTH[part.state], part.state.value, part.detail, part.since_us)


def chain(
    pipeline: Pipeline, parts: Sequence[PartView], redis: Link, api: Link, ready: Mapping[str, bool]
) -> tuple[Stage, ...]:
    """Return the chain of a pipeline, each stage as healthy as the worst of what it stands on."""
    return tuple(
        Stage(stage.label, _health(stage, pipeline, parts, redis, api, ready)) for stage in pipeline.info.chain
    )


def _health(
    stage: DeclaredStage,
    pipeline: Pipeline,
    parts: Sequence[PartView],
    redis: Link,
    api: Link,
    ready: Mapping[str, bool],
) -> Health:
    healths = [part.health for part in parts_of(stage, parts)]
    if stage is pipeline.info.chain[0]:
        return _api_health([health for health in healths if health is not Health.GOOD], api, ready.get(pipeline))
    if "redis" in stage.parts and redis.up is not None:
        healths.append(Health.GOOD if redis.up else Health.BROKEN)
    return _worst(healths)


def _api_health(not_good: Sequence[Health], api: Link, ready: bool | None) -> Health:
    if api.up:
        return {True: Health.GOOD, False: Health.WAITING, None: Health.UNKNOWN}[ready]
    return Health.BROKEN if api.up is False and not not_good else _worst(not_good)


def parts_of(stage: DeclaredStage, parts: Iterable[PartView]) -> tuple[PartView, ...]:
    """Return the parts that a stage stands on."""
    return tuple(part for part in parts if is_part(part.name, stage.parts))


def _worst(healths: Iterable[Health]) -> Health:
    found = set(healths)
    return next((health for health in _WORST_FIRST if health in found), Health.UNKNOWN)


def waiting(
    pipeline: Pipeline, counts: PipelineCounts | None, stream_entries: Mapping[Pipeline, int] | None
) -> int | None:
    """Return the orders that wait for the processor; a Redis stream knows them itself, else the API must.

    None where nobody knows: ``stream_entries`` is, where Redis cannot be read.
    """
    if stream_of(pipeline) is not None:
        return None if stream_entries is None else stream_entries.get(pipeline, 0)
    return counts.in_flight if counts is not None else None


def with_links(stages: Sequence[Stage], rates: Sequence[float | None], queued: int | None) -> tuple[Stage, ...]:
    """Return the stages with a rate for each link, first to last, and with what waits for the processor."""
    linked = [replace(stage, rate=rate) for stage, rate in zip(stages, rates, strict=False)]
    if len(linked) > _WAITS_AT:
        linked[_WAITS_AT] = replace(linked[_WAITS_AT], waiting=queued)
    return (*linked, *stages[len(linked) :])


def own_cost(pipeline: Pipeline, costs: Mapping[str, Cost]) -> CostView | None:
    """Return what the processes of one pipeline alone cost; None where they are not known."""
    return _sum(pipeline.info.cost_label, pipeline.info.cost_parts, costs)


def shared_costs(costs: Mapping[str, Cost]) -> tuple[CostView, ...]:
    """Return what each part costs that all pipelines stand on."""
    sums = (_sum(name, beginnings, costs) for name, beginnings in _SHARED)
    return tuple(cost for cost in sums if cost is not None)


def _sum(name: str, beginnings: tuple[str, ...], costs: Mapping[str, Cost]) -> CostView | None:
    found = [cost for part, cost in costs.items() if is_part(part, beginnings)]
    if not found:
        return None
    return CostView(name, _percent(found), _rounded(round(sum(cost.memory_bytes for cost in found) / 1e6)))


def _percent(costs: Iterable[Cost]) -> int | None:
    known = [cost.cores for cost in costs if cost.cores is not None]
    return round(100 * sum(known)) if known else None


def _rounded(megabytes: int) -> int:
    """Round to two significant digits: small changes of memory are not worth a redraw."""
    step = 10 ** max(0, len(str(megabytes)) - 2)
    return int(round(megabytes / step) * step)
