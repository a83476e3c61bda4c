"""The three ways an order can take, and what people call them."""

from dataclasses import dataclass
from enum import StrEnum


class Pipeline(StrEnum):
    """A pipeline by its API version; the value is the prefix of its Redis keys and of its partition."""

    V1 = "v1"
    V2 = "v2"
    V3 = "v3"


@dataclass(frozen=True, slots=True)
class PipelineInfo:
    """What is said of a pipeline on screens and in reports."""

    pipeline: Pipeline
    title: str
    """Short name, for a column's headline."""
    accepted_status: int
    """HTTP status of an accepted order: 201 where it is committed, 202 where a log has acknowledged it."""
    chain: tuple[str, ...]
    """The parts an order passes, in order."""


INFO: dict[Pipeline, PipelineInfo] = {
    Pipeline.V1: PipelineInfo(Pipeline.V1, "Direct", 201, ("POST", "PG", "cron", "Redis")),
    Pipeline.V2: PipelineInfo(Pipeline.V2, "Streams", 202, ("POST", "stream", "worker", "PG, Redis")),
    Pipeline.V3: PipelineInfo(Pipeline.V3, "Kafka + Flink", 202, ("POST", "Kafka", "Flink", "PG, Redis")),
}
"""Every pipeline, in the order of its version."""


def parse_pipelines(text: str) -> tuple[Pipeline, ...]:
    """Read a comma-separated list such as ``v1,v3``; duplicates fold, the order is by version.

    Raises ValueError naming the item that is no pipeline, or when the list is empty.
    """
    names = {item.strip().lower() for item in text.split(",") if item.strip()}
    known = {str(pipeline) for pipeline in Pipeline}
    if unknown := sorted(names - known):
        raise ValueError(f"{unknown[0]!r} is no pipeline; choose from {', '.join(sorted(known))}")
    if not names:
        raise ValueError(f"names no pipeline; choose from {', '.join(sorted(known))}")
    return tuple(pipeline for pipeline in Pipeline if pipeline in names)
