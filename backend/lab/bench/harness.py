"""What all steps of a bench share: the stack, the clients, the dashboard's totals, the books and the figures."""

import asyncio
import time
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from backend.lab.bench.bench_stack import BenchStack
from backend.lab.bench.figures import QUANTILES, Better, Figures
from backend.lab.bench.load_clients import LoadClients
from backend.lab.bench.load_run import Measured
from backend.lab.bench.size import Size
from backend.lab.bench.visibility import VisibilityWatcher, read_buckets
from backend.stack.polling import poll
from backend.stack.ports import is_free
from coffee_core.errors import CoffeeError
from coffee_core.latency import difference
from coffee_core.load.histogram import LatencyHistogram
from coffee_core.load.plan import Plan
from coffee_core.load.schedule import Shape
from coffee_core.load.statistics import Sample
from coffee_core.pipelines import Pipeline
from coffee_core.settings import Settings

_REDIS_WITHIN_S = 60.0
_SETTLE_S = 60.0
_STILL_S = 2.0
"""Seconds without a change after which a total stands still."""
_SEED_STRIDE = 1_000
"""More than the numbers that clients and pipelines add to a seed (fewer than 64, and 100 for each pipeline)."""
MILLION = 1_000_000


def periodic(pipeline: Pipeline) -> str:
    """Return the name of the figures over all loads of a pipeline whose metrics are written by runs.

    How late it is depends on their place in its interval, and on nothing else.
    """
    return f"{pipeline}.any.dashboard"


def live(pipelines: Iterable[Pipeline]) -> list[Pipeline]:
    """Return those whose metrics are written as orders come, not by a run now and then."""
    return [pipeline for pipeline in pipelines if not pipeline.info.shown_in_runs]


class NotSettledError(CoffeeError):
    """A pipeline does not show what it has accepted: the figures after it would mean nothing."""


@dataclass(frozen=True, slots=True)
class PendingLoad:
    """One pipeline under one load, whose dashboard latency may still be open: in v1, until its next run."""

    name: str
    pipeline: Pipeline
    base: int
    """Orders accepted before it."""
    start_s: float
    """Monotonic seconds."""
    for_s: float
    sample: Sample
    shown: Mapping[int, int] | None
    """The lab's histogram of it; None where the metrics are written by runs."""


@dataclass(slots=True)
class Harness:
    """Everything a step of the bench needs."""

    size: Size
    stack: BenchStack
    watcher: VisibilityWatcher
    clients: LoadClients
    figures: Figures = field(default_factory=Figures)
    accepted: dict[Pipeline, int] = field(default_factory=lambda: defaultdict(int))
    """The books: every order that was ever accepted here, so what each total must come to."""
    pending: list[PendingLoad] = field(default_factory=list)
    """Loads whose dashboard latency is worked out at the end."""
    histograms: dict[str, LatencyHistogram] = field(default_factory=lambda: defaultdict(LatencyHistogram))
    """Load and kind of latency → its histogram over all rounds, for the pictures."""
    notes: list[str] = field(default_factory=list)
    """What there is to know of the figures, in sentences."""
    _loads: Counter[tuple[str, ...]] = field(default_factory=Counter)
    """How often each load was begun."""

    @property
    def settings(self) -> Settings:
        """The settings of the stack."""
        return self.stack.settings

    @property
    def pipelines(self) -> tuple[Pipeline, ...]:
        """Those that run here."""
        return self.settings.pipelines

    async def settle(self, pipelines: Sequence[Pipeline]) -> None:
        """Wait until all that was accepted is visible. Raises NotSettledError where it does not become so."""
        wanted = {pipeline: self.accepted[pipeline] for pipeline in pipelines}
        if not await self.watcher.reached(wanted, _SETTLE_S):
            shown = {str(pipeline): self.watcher.histories[pipeline].total for pipeline in wanted}
            raise NotSettledError(f"accepted {dict(wanted)}, and after {_SETTLE_S:g} s only {shown} are visible")
        for pipeline in live(pipelines):
            # One order too many, and each after it would seem to be visible when the one before it was.
            if (more := self.watcher.histories[pipeline].total - self.accepted[pipeline]) > 0:
                self.accepted[pipeline] += more
                self.notes.append(f"{pipeline}: {more:,} orders were taken without an answer in time")

    async def resync(self) -> None:
        """Take what is visible for the books, after a step that has failed: what it sent is not known."""
        pipelines, give_up_at_s = live(self.pipelines), time.monotonic() + _SETTLE_S
        totals: list[int] = []
        while totals != (now := [self.watcher.histories[pipeline].total for pipeline in pipelines]):
            # A backlog of it may still be on its way.
            if time.monotonic() > give_up_at_s:
                break
            totals = now
            await asyncio.sleep(_STILL_S)
        self.accepted.update(zip(pipelines, now, strict=True))

    async def load(
        self, name: str, pipelines: Sequence[Pipeline], shape: Shape, for_s: float
    ) -> list[PendingLoad]:
        """Put a load on some pipelines and write what was accepted into the books."""
        at_once = live(pipelines)
        await self.settle(at_once)
        before = await read_buckets(self.settings.redis_url, at_once)
        # The same arrivals for every pipeline alone, others in each repetition: none of them is lucky by its own.
        self._loads[name, *pipelines] += 1
        seed = _SEED_STRIDE * self._loads[name, *pipelines]
        start_s, samples = await self.clients.run(Plan(pipelines, shape, for_s, seed=seed))
        bases = {pipeline: self.accepted[pipeline] for pipeline in pipelines}
        for pipeline, sample in samples.items():
            self.accepted[pipeline] += len(sample.intended)
        await self.settle(at_once)
        after = await read_buckets(self.settings.redis_url, at_once)
        shown: dict[Pipeline, Mapping[int, int]] = {
            pipeline: difference(after[pipeline], before[pipeline]) for pipeline in at_once
        }
        return [
            PendingLoad(name, pipeline, bases[pipeline], start_s, for_s, sample, shown.get(pipeline))
            for pipeline, sample in samples.items()
        ]

    def measured(self, load: PendingLoad) -> Measured:
        """Return what is known of a load by now."""
        visible_latency = self.watcher.histories[load.pipeline].visible_latency(load.base, load.sample.intended)
        return Measured.of(load.sample, (load.start_s, load.for_s), visible_latency, load.shown)

    def write_up(self) -> None:
        """Work out the figures of all pending loads, when all is visible that will be."""
        if not self.pending:
            return
        for load in self.pending:
            measured, name = self.measured(load), f"{load.pipeline}.{load.name}"
            if not measured.valid:
                late = f"the generator began {measured.slipped:,} of {measured.sent:,} requests late"
                self.notes.append(f"{name}: one repetition left out: {late}")
                continue
            for kind in ("api", "dashboard", "shown"):
                for quantile in QUANTILES:
                    self.figures.add(f"{name}.{kind}.{quantile}", getattr(getattr(measured, kind), quantile), "µs")
            self.figures.add(f"{name}.achieved", measured.achieved_per_s, "/s", Better.HIGHER)
            self.figures.add(f"{name}.failed", measured.failed, "orders")
            self.figures.add(f"{name}.orders", measured.accepted, "orders", Better.HIGHER)
            history = self.watcher.histories[load.pipeline]
            # Until the last order is seen: v1 may not show one of them before the end of its load.
            whole_s = max(load.for_s, history.first_s(load.base + measured.accepted) - load.start_s)
            updates = history.changes(load.start_s, load.start_s + whole_s) / whole_s
            self.figures.add(f"{name}.updates", updates, "/s", Better.HIGHER)
            self.histograms[f"{name}.api"].add(load.sample.latency)
            visible_latency, _ = history.visible_latency(load.base, load.sample.intended)
            self.histograms[f"{name}.dashboard"].add(visible_latency)
            if load.pipeline.info.shown_in_runs:
                self.histograms[periodic(load.pipeline)].add(visible_latency)
        for pipeline in self.pipelines:
            self._write_up_periodic(periodic(pipeline))
        self.pending.clear()

    def _write_up_periodic(self, name: str) -> None:
        histogram = self.histograms.get(name)
        if histogram is None or not histogram.total:
            return
        for quantile, percentile in QUANTILES.items():
            self.figures.add(f"{name}.{quantile}", histogram.percentile_us(percentile), "µs")


@asynccontextmanager
async def measuring(size: Size, stack: BenchStack) -> AsyncIterator[Harness]:
    """Measure a stack that is starting, from its Redis on. Raises StackError where that does not come."""
    if not await poll(lambda: not is_free(stack.settings.redis_port), 0.02, _REDIS_WITHIN_S):
        stack.require()
    async with (
        VisibilityWatcher(stack.settings.redis_url, stack.settings.pipelines) as watcher,
        LoadClients(stack.settings.api_url, 1, stack.environ) as clients,
    ):
        yield Harness(size, stack, watcher, clients)
