"""One load from beginning to end: clients, dashboard, and what both say of it."""

from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass

from redis.exceptions import RedisError

from backend.lab.bench.clients import Clients, OnReport
from backend.lab.bench.measured import Measured
from backend.lab.bench.shown import Buckets, read_buckets
from backend.lab.bench.visible import Visible
from coffee_core.latency import difference
from coffee_core.load.plan import Plan
from coffee_core.pipelines import Pipeline
from coffee_core.settings import Settings


@dataclass(frozen=True, slots=True)
class Loaded:
    """A load that has ended."""

    measured: Mapping[Pipeline, Measured]
    notes: tuple[str, ...]
    """What there is to know of the numbers, in sentences."""

    @property
    def invalid(self) -> str:
        """Why the numbers mean nothing; empty where they do."""
        return "; ".join(
            f"{pipeline}: the generator began {each.slipped:,} of {each.sent:,} requests over 50 ms late by itself"
            for pipeline, each in self.measured.items()
            if not each.valid
        )


async def load(
    settings: Settings, plan: Plan, clients: int, settle_s: float, on_report: OnReport | None = None
) -> Loaded:
    """Run a plan with so many client processes, and wait up to ``settle_s`` until what was accepted is visible.

    Where Redis cannot be reached, only the answers are measured. Raises ClientError.
    """
    notes: list[str] = []
    async with AsyncExitStack() as stack:
        sending = await stack.enter_async_context(Clients(settings.api_url, clients))
        visible, before = await _watching(stack, settings, plan, notes)
        bases = {pipeline: visible.flows[pipeline].total for pipeline in plan.pipelines} if visible else {}
        start_s, samples = await sending.run(plan, on_report)
        after = None
        if visible is not None:
            wanted = {pipeline: bases[pipeline] + len(sample.intended) for pipeline, sample in samples.items()}
            await visible.reached(wanted, settle_s)
            after = await _buckets(settings, plan, notes)
        measured = {}
        for pipeline, sample in samples.items():
            lateness = visible.flows[pipeline].lateness(bases[pipeline], sample.intended) if visible else None
            added = difference(after[pipeline], before[pipeline]) if after and before else None
            measured[pipeline] = Measured.of(sample, (start_s, plan.for_s), lateness, added)
            if visible is not None:
                notes += _doubts(
                    pipeline, measured[pipeline], visible.flows[pipeline].total - bases[pipeline], settle_s
                )
    return Loaded(measured, tuple(notes))


def _doubts(pipeline: Pipeline, measured: Measured, more: int, settle_s: float) -> list[str]:
    if (others := more - measured.accepted) > 0:
        cause = "others order, too, or an answer was lost; the dashboard's latency is then too good"
        return [f"{pipeline}: {others:,} more orders became visible than were acknowledged here: {cause}"]
    if measured.unseen:
        return [f"{pipeline}: {measured.unseen:,} orders were not visible {settle_s:g} s after the last answer"]
    return []


async def _watching(
    stack: AsyncExitStack, settings: Settings, plan: Plan, notes: list[str]
) -> tuple[Visible | None, Buckets | None]:
    before = await _buckets(settings, plan, notes)
    if before is None:
        return None, None
    return await stack.enter_async_context(Visible(settings.redis_url, plan.pipelines)), before


async def _buckets(settings: Settings, plan: Plan, notes: list[str]) -> Buckets | None:
    try:
        return await read_buckets(settings.redis_url, plan.pipelines)
    except (RedisError, OSError) as error:
        notes.append(f"Redis cannot be read ({error}): what is visible was not measured")
        return None
