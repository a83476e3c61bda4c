"""What all measurements of a bench share: the stack, the clients, the dashboard's totals, and the books."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from backend.lab.bench.figures import HIGHER, Figures
from backend.lab.bench.load_clients import Clients
from backend.lab.bench.load_run import Measured
from backend.lab.bench.own_stack import OwnStack
from backend.lab.bench.size import Size
from backend.lab.bench.visibility import Visible, read_buckets
from coffee_core.errors import CoffeeError
from coffee_core.latency import difference
from coffee_core.load.plan import Plan
from coffee_core.load.schedule import Shape
from coffee_core.load.statistics import Sample, new_histogram
from coffee_core.pipelines import Pipeline
from coffee_core.pipelines.constants import V1
from coffee_core.settings import Settings

_SETTLE_S = 60.0
_SEED_STRIDE = 1_000
"""More than the numbers that clients and pipelines add to a seed (fewer than 64, and 100 for each pipeline)."""
MILLION = 1_000_000
PERIODIC = "v1.any.dashboard"
"""Figures of v1 over all its loads: how late it is depends on their place in its interval, and on nothing else."""
QUANTILES = ("p50", "p99")


class NotSettledError(CoffeeError):
    """A pipeline does not show what it has accepted: the figures after it would mean nothing."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One pipeline under one load, while its dashboard latency may still be open (v1: until its next run)."""

    name: str
    pipeline: Pipeline
    base: int
    """Orders accepted before it."""
    start_s: float
    """Monotonic seconds."""
    for_s: float
    sample: Sample
    shown: Mapping[int, int] | None
    """The lab's histogram of it; None for v1."""


@dataclass(slots=True)
class Rig:
    """Everything a step of the bench needs."""

    size: Size
    own: OwnStack
    visible: Visible
    clients: Clients
    figures: Figures = field(default_factory=Figures)
    accepted: dict[Pipeline, int] = field(default_factory=lambda: defaultdict(int))
    """The books: every order that was ever accepted here, so what each total must come to."""
    cells: list[Cell] = field(default_factory=list)
    """Loads whose dashboard latency is worked out at the end."""
    histograms: dict[str, Any] = field(default_factory=lambda: defaultdict(new_histogram))
    """Cell and kind of latency → HDR histogram in µs over all rounds, for the pictures."""
    notes: list[str] = field(default_factory=list)
    """What there is to know of the figures, in sentences."""
    _loads: Counter[tuple[str, ...]] = field(default_factory=Counter)
    """How often each load was begun."""

    @property
    def settings(self) -> Settings:
        """The settings of the stack."""
        return self.own.settings

    @property
    def pipelines(self) -> tuple[Pipeline, ...]:
        """Those that run here."""
        return self.settings.pipelines

    async def settle(self, pipelines: Sequence[Pipeline]) -> None:
        """Wait until all that was accepted is visible. Raises NotSettledError where it does not become so."""
        wanted = {pipeline: self.accepted[pipeline] for pipeline in pipelines}
        if not await self.visible.reached(wanted, _SETTLE_S):
            shown = {str(pipeline): self.visible.flows[pipeline].total for pipeline in wanted}
            raise NotSettledError(f"accepted {dict(wanted)}, and after {_SETTLE_S:g} s only {shown} are visible")

    async def resync(self) -> None:
        """Take what is visible for the books, after a step that has failed: what it sent is not known."""
        for pipeline in self.pipelines:
            if pipeline != V1:
                self.accepted[pipeline] = self.visible.flows[pipeline].total

    async def load(self, name: str, pipelines: Sequence[Pipeline], shape: Shape, for_s: float) -> list[Cell]:
        """Put a load on some pipelines and write what was accepted into the books."""
        live = [pipeline for pipeline in pipelines if pipeline != V1]
        await self.settle(live)
        before = await read_buckets(self.settings.redis_url, live)
        # The same arrivals for every pipeline alone, others in each repetition: none of them is lucky by its own.
        self._loads[name, *pipelines] += 1
        seed = _SEED_STRIDE * self._loads[name, *pipelines]
        start_s, samples = await self.clients.run(Plan(pipelines, shape, for_s, seed=seed))
        bases = {pipeline: self.accepted[pipeline] for pipeline in pipelines}
        for pipeline, sample in samples.items():
            self.accepted[pipeline] += len(sample.intended)
        await self.settle(live)
        after = await read_buckets(self.settings.redis_url, live)
        shown: dict[Pipeline, Mapping[int, int]] = {
            pipeline: difference(after[pipeline], before[pipeline]) for pipeline in live
        }
        return [
            Cell(name, pipeline, bases[pipeline], start_s, for_s, sample, shown.get(pipeline))
            for pipeline, sample in samples.items()
        ]

    def measured(self, cell: Cell) -> Measured:
        """Return what there is to say of a cell by now."""
        lateness = self.visible.flows[cell.pipeline].lateness(cell.base, cell.sample.intended)
        return Measured.of(cell.sample, (cell.start_s, cell.for_s), lateness, cell.shown)

    def write_up(self) -> None:
        """Work out the figures of all cells: to be called once, when all is visible that will be."""
        for cell in self.cells:
            measured, name = self.measured(cell), f"{cell.pipeline}.{cell.name}"
            if not measured.valid:
                late = f"the generator began {measured.slipped:,} of {measured.sent:,} requests late"
                self.notes.append(f"{name}: one repetition left out: {late}")
                continue
            for kind in ("api", "dashboard", "shown"):
                for quantile in QUANTILES:
                    self.figures.add(f"{name}.{kind}.{quantile}", getattr(getattr(measured, kind), quantile), "µs")
            self.figures.add(f"{name}.achieved", measured.achieved_per_s, "/s", HIGHER)
            self.figures.add(f"{name}.failed", measured.failed, "orders")
            self.figures.add(f"{name}.orders", measured.accepted, "orders", HIGHER)
            flow = self.visible.flows[cell.pipeline]
            # Until the last order is seen: v1 may not show one of them before the end of its cell.
            whole_s = max(cell.for_s, flow.first_s(cell.base + measured.accepted) - cell.start_s)
            updates = flow.changes(cell.start_s, cell.start_s + whole_s) / whole_s
            self.figures.add(f"{name}.updates", updates, "/s", HIGHER)
            self.histograms[f"{name}.api"].add(cell.sample.latency)
            lateness, _ = flow.lateness(cell.base, cell.sample.intended)
            self.histograms[f"{name}.dashboard"].add(lateness)
            if cell.pipeline == V1:
                self.histograms[PERIODIC].add(lateness)
        self._write_up_v1()
        self.cells.clear()

    def _write_up_v1(self) -> None:
        histogram = self.histograms.get(PERIODIC)
        if histogram is None or not histogram.get_total_count():
            return
        for quantile, percentile in zip(QUANTILES, (50, 99), strict=True):
            self.figures.add(f"{PERIODIC}.{quantile}", histogram.get_value_at_percentile(percentile), "µs")
