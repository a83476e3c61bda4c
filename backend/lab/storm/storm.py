"""Storms: several faults at once, their kind, place, time and length drawn from a seed, on a stack of its own.

What a storm does is one ``Fault`` to the experiment: load, strike, the way back and both judges are those of every
fault.
"""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from backend.lab.bench.bench_stack import BenchStack, free_range
from backend.lab.bench.network import MOST_PORTS
from backend.lab.chaos.actions import Context, strike
from backend.lab.chaos.evidence import FOLDER, Shelf
from backend.lab.chaos.experiment import Announce, Plan, run_under_load
from backend.lab.chaos.fault_result import FaultResult
from backend.lab.chaos.faults import FAULTS
from backend.lab.chaos.network import on_link
from backend.lab.chaos.target import TargetStack
from backend.pipelines.faults import Action, Effect, Fault, StrikeContext
from backend.stack.links import network
from backend.stack.network_lab import NAME as NETWORK_LAB
from coffee_core.errors import CoffeeError
from coffee_core.pipelines import LogKind, Pipeline
from coffee_core.tasks import run_together

_WEATHER = (
    *(Action.KILL, Action.FREEZE, Action.FILL_DISK, Action.FILL_MEMORY, Action.SLOW, Action.LOCK, Action.HOLD),
    *(Action.CUT, Action.NETWORK, Action.STORM, Action.FLUSH),
)
"""What may come in a storm. Poison, replays and rebalances are somebody's work, and want the lab to themselves."""
_SHARED = {Action.FILL_MEMORY: "redis", Action.LOCK: "postgres"}
"""What a fault breaks that names no part."""
_EVERY_S = 3.0
"""Mean time between two faults: with their length some two at once."""
_SHORTEST_S, _LONGEST_S = 1.0, 8.0
_BACK_S = 5.0
"""Seconds before the same part is broken again."""
_AFTER_S = 2.0
"""Seconds that a storm with fewer faults goes on after the last of them."""
_SETTLED_WITHIN_S, _SETTLED_ON_TOPIC_WITHIN_S = 30.0, 120.0
"""Seconds to come into step, all of which pass where orders are lost; Flink may have to begin anew."""
_MOST_RUNS = 24
"""Runs that a failing storm is made smaller by, at most."""


@dataclass(frozen=True, slots=True)
class Gust:
    """One fault of a storm."""

    number: int
    """Its place among those that were drawn, from 1."""
    at_s: float
    """Seconds since the storm began."""
    fault: Fault
    lasts_s: float
    """Seconds that it lasts; 0 where it is over at once."""

    def __str__(self) -> str:
        lasts = f" for {self.lasts_s:.1f} s" if self.lasts_s else ""
        return f"{self.number:>3}  {self.at_s:6.1f} s  {self.fault.name}{lasts}"

    def as_json(self) -> dict[str, Any]:
        """Return it as docs/chaos.md describes it."""
        return {
            "number": self.number,
            "at_s": round(self.at_s, 3),
            "fault": self.fault.name,
            "lasts_s": round(self.lasts_s, 3),
        }


@dataclass(frozen=True, slots=True)
class StormPlan:
    """What storm it is to be."""

    seed: int
    for_s: float
    """Seconds in which faults begin."""
    pipelines: tuple[Pipeline, ...]
    rate_per_s: float
    """Orders a second offered to each."""
    only: frozenset[int] | None = None
    """Numbers of the faults that are to come; None: all that are drawn."""

    @property
    def command(self) -> str:
        """What runs this storm."""
        only = "" if self.only is None else f" --only {','.join(map(str, sorted(self.only))) or 'none'}"
        return (
            f"coffee chaos --storm {self.seed} --for {self.for_s:g}{only} --pipeline {','.join(self.pipelines)}"
            f" --rate {self.rate_per_s:g}"
        )


@dataclass(frozen=True, slots=True)
class StormResult:
    """What a storm did."""

    plan: StormPlan
    gusts: tuple[Gust, ...]
    """The faults that came."""
    results: list[FaultResult]
    """One for each pipeline."""

    @property
    def exact(self) -> bool:
        """Whether neither judge has found anything."""
        return all(result.exact for result in self.results)

    def kinds(self) -> frozenset[tuple[Pipeline, str]]:
        """Return what kinds of wrong were found, of which pipeline (``FaultResult.kinds``)."""
        return frozenset((result.pipeline, kind) for result in self.results for kind in result.kinds())

    def wrong(self) -> list[str]:
        """Return what either judge has found, in one line for each pipeline that is not exact."""
        return [result.summary_line() for result in self.results if not result.exact]


def draw(seed: int, for_s: float, faults: Sequence[Fault], links: Sequence[str]) -> list[Gust]:
    """Draw the faults of a storm, in order of time; the same ones for the same arguments.

    A part, or a link, is broken by one fault at a time.
    """
    chance = random.Random(seed)
    menu = sorted(faults, key=lambda fault: fault.name)
    busy_until_s: dict[str, float] = {}
    gusts: list[Gust] = []
    at_s = chance.expovariate(1 / _EVERY_S)
    while at_s < for_s:
        fault = chance.choice(menu)
        place = fault.part or _SHARED.get(fault.action, fault.name)
        if fault.action is Action.NETWORK:
            place = chance.choice(links)
            fault = on_link(fault, place)
        lasts_s = chance.uniform(_SHORTEST_S, _LONGEST_S) if fault.lasts else 0.0
        if busy_until_s.get(place, 0.0) <= at_s:
            busy_until_s[place] = at_s + lasts_s + _BACK_S
            gusts.append(Gust(len(gusts) + 1, at_s, fault, lasts_s))
        at_s += chance.expovariate(1 / _EVERY_S)
    return gusts


async def run_storm(parent: Path, plan: StormPlan, shelf: Shelf | None, announce: Announce) -> StormResult:
    """Run a storm on a stack of its own in a fresh folder within ``parent``, and judge it twice.

    Nothing but its evidence stays behind. Raises CoffeeError where it cannot be run to its end.
    """
    lab = {
        "COFFEE_NETWORK_LAB": "yes",
        "COFFEE_NETWORK_LAB_PORT": str(free_range(MOST_PORTS)),
        "COFFEE_AGGREGATOR_INTERVAL_S": "1",
    }
    async with BenchStack(parent, plan.pipelines, lab) as stack:
        announce(f"a stack of its own starts in {stack.home}: your own data is not touched")
        await stack.wait_until_up()
        target = TargetStack(stack.settings)
        links = network(stack.settings)
        assert links is not None, "it has a network lab"
        faults = [fault for fault in FAULTS.values() if _may_come(fault) and target.offers(fault)]
        drawn = draw(plan.seed, plan.for_s, faults, [link.name for link in links.links])
        gusts = tuple(gust for gust in drawn if plan.only is None or gust.number in plan.only)
        for gust in gusts:
            announce(str(gust))
        results = await run_under_load(
            _as_fault(plan, gusts, announce),
            target,
            Plan(
                plan.pipelines,
                plan.rate_per_s,
                plan.for_s,
                settled_within_s=_settled_within_s(plan.pipelines),
                shelf=shelf or Shelf(stack.home / FOLDER, 0),
            ),
            announce,
        )
        if shelf is None:  # what both judges needed goes with the stack
            results = [replace(result, evidence=None) for result in results]
        return StormResult(plan, gusts, results)


def _may_come(fault: Fault) -> bool:
    # A link is broken by itself; the process that all of them are in is no part of the network.
    return fault.action in _WEATHER and (fault.part != NETWORK_LAB or fault.action is Action.NETWORK)


def _settled_within_s(pipelines: Sequence[Pipeline]) -> float:
    logs = [pipeline.info.log for pipeline in pipelines]
    on_topic = any(log is not None and log.kind is LogKind.TOPIC for log in logs)
    return _SETTLED_ON_TOPIC_WITHIN_S if on_topic else _SETTLED_WITHIN_S


def _as_fault(plan: StormPlan, gusts: Sequence[Gust], announce: Announce) -> Fault:
    # With fewer faults nobody waits for the time in which the others would have come.
    ends = (gust.at_s + gust.lasts_s for gust in gusts)
    for_s = plan.for_s if plan.only is None else max(ends, default=0.0) + _AFTER_S
    refused = {pipeline for gust in gusts for pipeline in gust.fault.may_refuse}
    return Fault(
        f"storm-{plan.seed}",
        f"{len(gusts)} faults within {for_s:.0f} s",
        Action.SEVERAL,
        may_refuse=tuple(refused),
        strike=partial(_blow, gusts, for_s, announce),
    )


async def _blow(gusts: Sequence[Gust], for_s: float, announce: Announce, context: StrikeContext) -> Effect:
    assert isinstance(context, Context), "the experiment's own"
    begun_s = time.monotonic()
    context.struck()
    await run_together(asyncio.sleep(for_s), *(_strike(gust, begun_s, announce, context) for gust in gusts))
    return Effect(f"{len(gusts)} faults within {for_s:.0f} s", problem=await context.still_down())


async def _strike(gust: Gust, begun_s: float, announce: Announce, context: Context) -> None:
    """Strike one fault in its time; where another one has taken what it would break, it is left out."""
    await asyncio.sleep(begun_s + gust.at_s - time.monotonic())
    fault = gust.fault

    def struck() -> None:
        context.note(fault, "struck", fault.teaches, gust.lasts_s or None)
        announce(f"{gust.number}: {fault.name}: now")

    try:
        effect = await strike(fault, replace(context, struck=struck), gust.lasts_s)
    except (CoffeeError, ProcessLookupError) as error:
        # A part that another fault has just killed. What would stay broken shows in the end: nothing comes back.
        context.note(fault, "over", f"cut short: {error}", None)
        announce(f"{gust.number}: {fault.name}: cut short: {error}")
        return
    context.note(fault, "over", effect.what, None)


async def make_smaller(
    storm: StormResult,
    run: Callable[[StormPlan], Awaitable[StormResult]],
    smaller: Callable[[StormResult], None],
    announce: Announce,
) -> None:
    """Run a failing storm with fewer and fewer faults; call ``smaller`` with each smaller one that fails like it.

    One that fails otherwise, a request that took too long where an order was lost, is another matter.
    That is delta debugging (Zeller and Hildebrandt, 2002): halves first, then smaller and smaller parts left out.
    What fails by chance may not fail again: then more stays than it takes.
    """
    numbers, parts = [gust.number for gust in storm.gusts], 1
    tried = {frozenset(numbers)}
    while len(tried) <= _MOST_RUNS:
        for left in _with_fewer(numbers, parts):
            if left in tried or len(tried) > _MOST_RUNS:
                continue
            tried.add(left)
            announce(f"again with {len(left)} of {len(numbers)} faults")
            try:
                result = await run(replace(storm.plan, only=left))
            except CoffeeError as error:
                announce(f"not to its end: {error}")
                continue
            if result.kinds() & storm.kinds():
                smaller(result)
                numbers, parts = sorted(left), max(1, parts - 1)
                break
        else:
            if parts >= len(numbers):
                return
            parts = min(len(numbers), parts * 2)


def _with_fewer(numbers: Sequence[int], parts: int) -> list[frozenset[int]]:
    """Return these numbers without each of so many parts of about the same length, in turn."""
    step = -(-len(numbers) // parts) if numbers else 1
    return [frozenset([*numbers[:first], *numbers[first + step :]]) for first in range(0, len(numbers), step)]
