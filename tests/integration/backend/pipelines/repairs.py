"""Repairs as the command line asks for them: by way of the pipeline's backend."""

from collections.abc import Mapping

from backend.pipelines.dead_letters import Letter
from backend.pipelines.operations import operations_of
from backend.pipelines.repair import Mended
from coffee_core.pipelines import Pipeline
from coffee_core.settings import Settings


async def reconcile(settings: Settings, pipeline: Pipeline, *, settle_s: float = 5.0) -> Mended:
    return await operations_of(pipeline).reconcile(settings, settle_s)


async def settle_dead_letters(
    settings: Settings, pipeline: Pipeline, ids: tuple[str, ...], action: str | None, repairs: Mapping[str, str]
) -> list[tuple[Letter, str]]:
    return await operations_of(pipeline).settle_dead_letters(settings, ids, action, repairs)
