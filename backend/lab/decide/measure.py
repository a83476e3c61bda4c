"""Measures what a question needs and no more: its two rates, what lies above them, a kill of each processor.

By the bench's own steps and in its own format. What is done is kept after each round and each pipeline's end: a
run that was interrupted is taken up again, and one of today on this machine is not taken twice.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from importlib.metadata import version
from pathlib import Path

from backend.lab.bench import ceilings
from backend.lab.bench.bench import (
    Announce,
    Step,
    all_visible,
    concluded,
    run,
    started,
    until_signalled,
    warming_up,
)
from backend.lab.bench.bench_stack import BenchStack, free_range
from backend.lab.bench.harness import Harness
from backend.lab.bench.network import MOST_PORTS
from backend.lab.bench.result import Result
from backend.lab.bench.size import DECIDE, TINY, Size
from backend.lab.bench.steps_idle import measure_memory_after, measure_memory_before, wait_for_rest
from backend.lab.bench.steps_kill import KillTimeline, kill_processors
from backend.lab.bench.steps_load import baselines, breakpoint_of, closed, rate
from backend.lab.bench.steps_table import RUN_FIGURE, TABLE_PIPELINE, runs_over_big_table
from backend.lab.bench.usage import facts, machine
from backend.lab.decide.decision import ROUND_TRIP, keeps_at_power_cut, measured_round_trip_ms
from backend.lab.decide.question import Loss, Question
from backend.stack.links import network
from backend.stack.network_lab import NetworkControl
from backend.stack.relay import Condition
from coffee_core.durability import DEFAULT
from coffee_core.errors import ConfigError
from coffee_core.pipelines import LogKind, Pipeline

FRESH = timedelta(hours=24)
"""Age at which a report is measured anew."""
_LONGEST_LOAD_S = 12
_LOAD_ORDERS = 500
_LEAST_ORDERS = 100
"""Of which one may be later than the p99."""
_LOWEST_PER_S = 10
"""Lower rates are measured at this one: so few orders do not wait for one another, and 100 would take a while."""
_ABOVE = (1.5, 2.0, 3.0)
"""How far above the peak is looked for where the outcome flips, as factors."""
_KILL_RATE_PER_S = 200


@dataclass(frozen=True, slots=True)
class Measurement:
    """What is to be measured for a question."""

    rates: tuple[int, ...]
    """Orders a second: on an ordinary day, and at the peak."""
    pipelines: tuple[Pipeline, ...]
    durability: str
    """The notch at which nothing is lost that must not be."""
    round_trip_ms: float = 0.0
    """Milliseconds there and back between every two parts."""
    tiny: bool = False
    """For the tests of it: its figures mean nothing."""

    @classmethod
    def of(cls, question: Question, pipelines: Sequence[Pipeline], *, tiny: bool = False) -> "Measurement":
        """Return what a question needs of these pipelines."""
        rates = tuple(sorted({max(_LOWEST_PER_S, rate) for rate in (question.now_per_s, question.peak_per_s)}))
        strict = question.loss is Loss.NOTHING and any(map(_on_topic, pipelines))
        return cls(rates, tuple(pipelines), "strict" if strict else DEFAULT, question.round_trip_ms, tiny)

    @property
    def size(self) -> Size:
        """How much of it: enough orders for a p99 also at a low rate, within a few seconds."""
        least, peak = self.rates[0], self.rates[-1]
        if self.tiny:
            return replace(TINY, rounds=2, rates=self.rates, ladder=(peak, 2 * peak))
        return replace(
            DECIDE,
            rates=self.rates,
            load_orders=min(_LOAD_ORDERS, max(_LEAST_ORDERS, least * _LONGEST_LOAD_S)),
            ladder=(*self.rates, *(round(peak * factor) for factor in _ABOVE)),
            fault_rate=min(peak, _KILL_RATE_PER_S),
        )

    @property
    def name(self) -> str:
        """What its file is called."""
        apart = f"-{self.round_trip_ms:g}ms" * bool(self.round_trip_ms)
        return f"{'-'.join(map(str, self.rates))}-{self.durability}{apart}-{'-'.join(self.pipelines)}.json"

    def unusable(self, result: Result) -> str:
        """Return why a report does not serve here; empty where it does."""
        if result.facts["machine"] != machine():
            return "it is of another machine"
        if result.facts["servers"]["coffee_rt"] != version("coffee-rt"):
            return "it is of another version"
        if datetime.now(UTC) - datetime.fromisoformat(result.at) > FRESH:
            return "it is older than a day"
        if missing := set(self.pipelines) - set(result.pipelines):
            return f"it has no {', '.join(sorted(missing))}"
        if any(keeps_at_power_cut(each, result) is not self._must_keep(each) for each in self.pipelines):
            return "its servers had other durability settings"
        if measured_round_trip_ms(result) != self.round_trip_ms:
            return "its parts were another distance apart"
        return ""

    def _must_keep(self, pipeline: Pipeline) -> bool:
        return self.durability != DEFAULT or not _on_topic(pipeline)


def _on_topic(pipeline: Pipeline) -> bool:
    return pipeline.info.log is not None and pipeline.info.log.kind is LogKind.TOPIC


async def measure(wanted: Measurement, home: Path, file: Path, announce: Announce) -> Result:
    """Measure on a stack of its own within ``home``, and keep what is done in ``file`` on the way.

    A file of the same measurement that is not complete is taken up again. SIGINT, SIGTERM and SIGHUP end it with
    what is done. Raises StackError where the stack does not come up, OSError where the file cannot be written.
    """
    so_far = read_kept(wanted, file)
    return await until_signalled(lambda stopped: _measure(wanted, home, file, so_far, announce, stopped))


def read_kept(wanted: Measurement, file: Path) -> Result | None:
    """Return what was kept of a measurement, whole or not; None where it does not serve any more."""
    try:
        kept = Result.read(file)
    except ConfigError:
        return None
    return None if wanted.unusable(kept) else kept


async def _measure(
    wanted: Measurement,
    home: Path,
    file: Path,
    so_far: Result | None,
    announce: Announce,
    stopped: "asyncio.Task[bool]",
) -> Result:
    begun_s, timeline, size = time.monotonic(), KillTimeline(), wanted.size
    extra = {"COFFEE_DURABILITY": wanted.durability}
    if wanted.round_trip_ms:
        extra |= {"COFFEE_NETWORK_LAB": "yes", "COFFEE_NETWORK_LAB_PORT": str(free_range(MOST_PORTS))}
    stack = BenchStack(home, wanted.pipelines, extra)
    async with (
        started(size, stack, announce, stopped) as harness,
        baselines() as urls,
        _apart(stack, wanted.round_trip_ms) as control,
    ):
        if so_far is not None:
            _take_up(harness, so_far, announce)
        steps = list(_steps(harness, urls["noop"], timeline, file, wanted.round_trip_ms, control))
        complete = await run(steps, harness, announce, stopped)
        result = await concluded(harness, timeline, announce, complete=complete)
    result.facts[ROUND_TRIP] = wanted.round_trip_ms
    if so_far is not None:
        for name, counts in so_far.audit.items():
            result.audit[name] = {key: counts[key] + value for key, value in result.audit[name].items()}
    result.seconds = time.monotonic() - begun_s
    result.write(file)
    return result


@asynccontextmanager
async def _apart(stack: BenchStack, round_trip_ms: float) -> AsyncIterator[NetworkControl | None]:
    """Hold what makes links slow for the length of the block: they are whole again without it."""
    links = network(stack.settings) if round_trip_ms else None
    if links is None:
        yield None
        return
    async with NetworkControl(stack.home, links.control_port) as control:
        yield control


async def _take_apart(control: NetworkControl, round_trip_ms: float) -> None:
    one_way = Condition(delay_s=round_trip_ms / 2_000)
    await control.put(tuple((await control.overview()).connections), one_way, one_way)


def _take_up(harness: Harness, so_far: Result, announce: Announce) -> None:
    """Go on with the figures of a run that was interrupted."""
    for name, figure in harness.figures:
        for value in figure.values:
            so_far.figures.add(name, value, figure.unit, figure.better)
    harness.figures = so_far.figures
    # What is said of a pipeline; what is said of the whole run is worked out at its end.
    harness.notes += [note for note in so_far.notes if note.partition(":")[0].split(".")[0] in harness.pipelines]
    done = _rounds_done(harness)
    announce(f"{done} of {harness.size.rounds} rounds were done before: taken up again")
    harness.notes.append(
        f"taken up again after round {done}: percentiles in pictures are those of the later rounds"
    )


def _rounds_done(harness: Harness) -> int:
    names = [f"{pipeline}.alone.{each}.cpu" for pipeline in harness.pipelines for each in harness.size.rates]
    return min(len(figure.values) if (figure := harness.figures.get(name)) else 0 for name in names)


def _steps(
    harness: Harness,
    noop_url: str,
    timeline: KillTimeline,
    file: Path,
    round_trip_ms: float,
    control: NetworkControl | None,
) -> Iterator[Step]:
    size, pipelines = harness.size, harness.pipelines
    yield warming_up(harness)
    yield Step("the stack comes to rest", 20, partial(wait_for_rest, harness))
    yield Step("memory beforehand", 0.5, partial(measure_memory_before, harness))
    if control is not None:
        name = f"{round_trip_ms:g} ms between every two parts"
        yield Step(name, 0.5, partial(_take_apart, control, round_trip_ms))
    for number in range(_rounds_done(harness) + 1, size.rounds + 1):
        label = f"round {number} of {size.rounds}"
        # Each round begins with another pipeline: none of them always comes first after the same one.
        turn = [*pipelines[number % len(pipelines) :], *pipelines[: number % len(pipelines)]]
        fsync = partial(ceilings.fsync, harness.figures, harness.stack.home, size.closed_s)
        yield Step(f"{label}: fsync of the disk", size.closed_s * 1.5, partial(asyncio.to_thread, fsync))
        # Whether the machine is equally fast all the time.
        yield Step(
            f"{label}: noop, closed loops", 2 * size.closed_s + 1.5, partial(closed, harness, "noop", noop_url)
        )
        for offered in size.rates:
            for pipeline in turn:
                name = f"{label}: {pipeline} at {offered:,}/s"
                yield Step(name, size.load_s_at(offered) + 1, partial(rate, harness, (pipeline,), offered))
        yield Step(f"{label} is kept", 6, partial(_keep, harness, timeline, file, round_trip_ms))
    for pipeline in pipelines:
        if harness.figures.get(f"{pipeline}.breakpoint") is None:
            ladder_s = sum(map(size.step_s_at, size.ladder))
            yield Step(f"where {pipeline} ends", ladder_s + 5, partial(breakpoint_of, harness, pipeline))
            yield Step(f"where {pipeline} ends is kept", 6, partial(_keep, harness, timeline, file, round_trip_ms))
    if TABLE_PIPELINE in pipelines and harness.figures.get(RUN_FIGURE) is None:
        rows = f"{TABLE_PIPELINE} with {size.table_rows:,} rows"
        yield Step(rows, size.table_rows * 15e-6, partial(runs_over_big_table, harness))
    kills_s = 2 + size.fault_s * len(pipelines) + 8
    yield Step("workers killed under load", kills_s, partial(kill_processors, harness, timeline))
    yield Step("memory afterwards", 0.5, partial(measure_memory_after, harness))


async def _keep(harness: Harness, timeline: KillTimeline, file: Path, round_trip_ms: float) -> None:
    await all_visible(harness)
    known = await facts(harness.settings) | {ROUND_TRIP: round_trip_ms}
    Result.of(harness, timeline, [], known, complete=False, seconds=0).write(file)
