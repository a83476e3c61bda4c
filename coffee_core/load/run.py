"""Runs a plan to its end in this process."""

import asyncio
from collections.abc import Callable

from coffee_core.load.generator import Generator, Sends
from coffee_core.load.mix import Mix
from coffee_core.load.outcome import Answer
from coffee_core.load.plan import Plan
from coffee_core.load.report import LoadReport
from coffee_core.load.sample import Notes, Sample
from coffee_core.pipelines import Pipeline

_REPORT_S = 0.25


async def run_plan(
    plan: Plan, sender: Sends, on_report: Callable[[LoadReport], None] | None = None
) -> dict[Pipeline, Sample]:
    """Offer what is planned, wait for the last answer, and return what was measured.

    ``on_report`` is told four times a second where the load stands. Raises what went wrong inside.
    """
    notes = {pipeline: Notes() for pipeline in plan.pipelines}

    def on_answer(answer: Answer) -> None:
        notes[answer.attempt.pipeline].note(answer)

    mix = Mix(plan.mix, seed=plan.seed)
    async with Generator(sender, mix, on_answer=on_answer, in_flight=plan.in_flight) as generator:
        generator.run_for(plan.shape, plan.pipelines, plan.start_s, plan.for_s, plan.seed)
        idle = asyncio.create_task(generator.idle())
        while not (await asyncio.wait({idle}, timeout=_REPORT_S))[0]:
            if on_report is not None:
                on_report(LoadReport.of(generator))
        idle.result()
        counts = generator.counts()
    return {pipeline: each.sample.take(counts[pipeline]) for pipeline, each in notes.items()}
