"""Puts readings and their history together into a snapshot."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from coffee_core.menu import DRINKS, STORES
from coffee_core.pipelines import INFO, Pipeline
from coffee_core.runstate import PartState
from coffee_tui.feed.clock import Moment
from coffee_tui.feed.costs import own_cost, shared_costs
from coffee_tui.feed.history import SLOTS, PipelineHistory
from coffee_tui.feed.links import waiting, with_links
from coffee_tui.feed.readings import LabReading, RedisReading
from coffee_tui.feed.sentence import Known, sentence
from coffee_tui.feed.snapshot import Link, PartView, PipelineView, Snapshot
from coffee_tui.feed.stack import chain, part_of, part_views
from coffee_tui.feed.stall import Stall


@dataclass(slots=True)
class _Column:
    history: PipelineHistory
    stall: Stall = field(default_factory=Stall)


class Board:
    """The state behind the dashboard: what was read last, and the memory of what was read before."""

    def __init__(self, pipelines: Sequence[Pipeline]) -> None:
        self._columns = {pipeline: _Column(PipelineHistory(pipeline)) for pipeline in pipelines}
        self._metrics: RedisReading | None = None
        self._lab: LabReading | None = None
        self._parts: tuple[PartState, ...] = ()
        self.redis = Link()
        self.api = Link()
        self.mode = "connecting"
        self.fault = ""
        self._faults: deque[bool] = deque(maxlen=SLOTS)

    def read_metrics(self, moment: Moment, reading: RedisReading) -> None:
        """Take what Redis said."""
        self._metrics = reading
        self.redis = _still(self.redis, moment)
        for pipeline, column in self._columns.items():
            column.history.add_metrics(moment.at_s, reading.metrics[pipeline])
            column.stall.shown(moment, reading.metrics[pipeline])

    def read_lab(self, moment: Moment, reading: LabReading) -> None:
        """Take what the API said."""
        self._lab = reading
        self._parts = reading.parts
        self.api = _still(self.api, moment)
        for pipeline, column in self._columns.items():
            column.history.add_api(moment.at_s, reading.latency.get(pipeline, {}), reading.accepted(pipeline))
            column.stall.accepted(moment, reading.accepted(pipeline))

    def read_parts(self, parts: Sequence[PartState]) -> None:
        """Take what the run files say, while the API says nothing."""
        self._parts = tuple(parts)

    def lost_redis(self, moment: Moment, why: str) -> None:
        """Note that Redis cannot be read."""
        self.redis = _lost(self.redis, moment, why)

    def lost_api(self, moment: Moment, why: str) -> None:
        """Note that the API does not answer."""
        self.api = _lost(self.api, moment, why)

    def slot(self, moment: Moment) -> None:
        """Close one second of the sparklines."""
        self._faults.append(bool(self.fault))
        for column in self._columns.values():
            column.history.slot(moment.at_s)

    def snapshot(self, moment: Moment) -> Snapshot:
        """Return what is to be shown now."""
        lab = self._lab if self.api.up else None
        parts = part_views(self._parts, lab)
        return Snapshot(
            tuple(self._view(pipeline, column, parts, moment) for pipeline, column in self._columns.items()),
            self.redis,
            self.api,
            self.mode,
            parts,
            int(lab.uptime_s) if lab else None,
            self.fault,
            tuple(self._faults),
            shared_costs(lab.costs) if lab else (),
        )

    def _view(
        self, pipeline: Pipeline, column: _Column, parts: Sequence[PartView], moment: Moment
    ) -> PipelineView:
        metrics = self._metrics.metrics[pipeline] if self._metrics else None
        lab = self._lab if self.api.up else None
        ready = lab.ready if lab else {}
        account = lab.accounts.get(pipeline) if lab else None
        history = column.history
        rate = history.rate(moment.at_s)
        stages = INFO[pipeline].chain
        known = Known(
            pipeline=pipeline,
            redis=self.redis,
            api=self.api,
            mode=self.mode,
            now_us=moment.time_us,
            metrics=metrics,
            troubled=[part for label in stages for part in part_of(label, parts) if not part.good],
            ready=ready.get(pipeline),
            stalled_s=None if pipeline is Pipeline.V1 else column.stall.seconds(moment),
            queued=waiting(pipeline, account, self._metrics.stream_entries if self._metrics else 0),
            account=account,
            rate=rate,
            interval_us=history.interval_us,
            accepted_since_run=column.stall.waiting,
        )
        return PipelineView(
            pipeline,
            metrics.orders if metrics else None,
            metrics.revenue_cents if metrics else 0,
            tuple((drink, metrics.drinks.get(drink, 0) if metrics else 0) for drink in DRINKS),
            tuple((store, metrics.stores.get(store, 0) if metrics else 0) for store in STORES),
            rate,
            history.api(moment.at_s),
            history.dashboard(moment.at_s),
            tuple(history.rates),
            tuple(history.api_p99),
            tuple(history.dashboard_p99),
            known.stalled_s,
            with_links(
                chain(pipeline, parts, self.redis, self.api, ready),
                (history.accepted(moment.at_s) if lab else None, history.taken(moment.at_s), rate),
                known.queued,
            ),
            sentence(known),
            account,
            own_cost(pipeline, lab.costs) if lab else None,
        )


def _still(link: Link, moment: Moment) -> Link:
    return link if link.up else Link(True, moment.time_us)


def _lost(link: Link, moment: Moment, why: str) -> Link:
    return Link(False, link.since_us if link.up is False else moment.time_us, why)
