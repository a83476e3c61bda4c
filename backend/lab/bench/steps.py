"""All steps of a run, in their order: rounds that interleave the pipelines, then what is measured once."""

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

from backend.lab.bench import ceilings
from backend.lab.bench.rig import Rig
from backend.lab.bench.steps_fault import FlowPicture, drain_stream, drain_stream_by_two, drain_topic, kills, warm
from backend.lab.bench.steps_idle import afterwards, beforehand, calm, idle
from backend.lab.bench.steps_load import breakpoint_of, closed, rate
from backend.lab.bench.steps_table import big_table
from coffee_core.pipelines import Pipeline


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that is measured."""

    name: str
    about_s: float
    """How long it is likely to take."""
    do: Callable[[], Coroutine[Any, Any, None]]


def all_steps(rig: Rig, urls: dict[str, str], picture: FlowPicture) -> Iterator[Step]:
    """Yield the steps in their order; ``urls`` are those of the endpoints without a pipeline, by their names."""
    size, pipelines = rig.size, rig.pipelines
    yield Step("warming up", 8, partial(warm, rig))
    yield Step("the stack comes to rest", 20, partial(calm, rig))
    yield Step("memory beforehand", 0.5, partial(beforehand, rig))
    for number in range(1, size.rounds + 1):
        label = f"round {number} of {size.rounds}"
        # Each round begins with another pipeline: none of them always comes first after the same one.
        turn = [*pipelines[number % len(pipelines) :], *pipelines[: number % len(pipelines)]]
        yield Step(f"{label}: idle", size.idle_s, partial(idle, rig))
        yield from _ceilings(rig, label)
        orders = {str(each): f"{rig.settings.api_url}/api/{each}/order" for each in turn}
        for target, url in (urls | orders).items():
            yield Step(
                f"{label}: {target}, closed loops", 2 * size.closed_s + 1.5, partial(closed, rig, target, url)
            )
        for offered in size.rates:
            for chosen in (*((each,) for each in turn), pipelines):
                yield Step(
                    f"{label}: {', '.join(chosen)} at {offered:,}/s",
                    (size.cell_s_at(offered) if len(chosen) == 1 else size.cell_s) + 0.5,
                    partial(rate, rig, chosen, offered),
                )
    for each in pipelines:
        yield Step(
            f"breakpoint of {each}", sum(map(size.step_s_at, size.ladder)), partial(breakpoint_of, rig, each)
        )
    yield from _drains(rig)
    yield Step("workers killed under load", 2 + size.fault_s * len(pipelines) + 8, partial(kills, rig, picture))
    if Pipeline.V1 in pipelines:
        table_s = size.table_rows / 50_000 + 2 * size.table_rounds * size.cell_s
        yield Step(f"v1 with {size.table_rows:,} rows more", table_s, partial(big_table, rig))
    yield Step("memory afterwards", 0.5, partial(afterwards, rig))
    # Once more: whether the machine is still as fast as it was in the rounds.
    yield Step("noop, closed loops", 2 * size.closed_s + 1.5, partial(closed, rig, "noop", urls["noop"]))


def _drains(rig: Rig) -> Iterator[Step]:
    size, pipelines = rig.size, rig.pipelines
    drain_s = size.preload / 15_000 + size.down_s
    for _ in range(size.drains):
        if Pipeline.V2 in pipelines:
            yield Step("v2: its worker down, then draining", drain_s + 1, partial(drain_stream, rig))
            yield Step("v2: two workers down, then draining", drain_s + 3, partial(drain_stream_by_two, rig))
        if Pipeline.V3 in pipelines:
            yield Step("v3: its job down, then draining", drain_s + 12, partial(drain_topic, rig))
    if Pipeline.V3 in pipelines:
        yield Step(
            "bare consume of the topic", 2, partial(ceilings.consume, rig.figures, rig.settings, size.preload)
        )


def _ceilings(rig: Rig, label: str) -> Iterator[Step]:
    figures, settings, for_s = rig.figures, rig.settings, rig.size.closed_s
    fsync = partial(ceilings.fsync, figures, rig.own.home, for_s)
    yield Step(f"{label}: fsync of the disk", for_s * 1.5, partial(asyncio.to_thread, fsync))
    yield Step(f"{label}: bare XADD", for_s, partial(ceilings.xadd, figures, settings, for_s))
    yield Step(f"{label}: bare bulk INSERT", for_s, partial(ceilings.insert, figures, settings, for_s))
    if Pipeline.V3 in rig.pipelines:
        yield Step(f"{label}: bare Kafka", for_s + 0.3, partial(ceilings.kafka, figures, settings, for_s))
