"""All parts of the stack for given settings: what runs, what does not, and why."""

from dataclasses import dataclass

from backend.stack import postgres, redis, services
from backend.stack.part import Part
from backend.stack.runnable import runnable
from coffee_core.pipelines import Pipeline
from coffee_core.settings import Settings

NAMES = (
    "postgres",
    "redis",
    "kafka",
    "flink-jobmanager",
    "flink-taskmanager-1",
    "flink-taskmanager-2",
    "flink-job",
    services.API,
    services.AGGREGATOR,
    services.WORKER,
)
"""Every process name of the Procfile."""


@dataclass(frozen=True, slots=True)
class Stack:
    """The parts that run, by name, in the order in which they are shown."""

    settings: Settings
    """The settings with the pipelines that can run here."""
    parts: dict[str, Part]
    missing: str = ""
    """Why v3 does not run although it was asked for; empty where it does, or was not."""

    def dependents(self, name: str) -> tuple[str, ...]:
        """Return the names of the parts that need this one."""
        return tuple(part.name for part in self.parts.values() if name in part.needs)


def stack(settings: Settings) -> Stack:
    """Return the parts for these settings; without apache-flink v3 is left out.

    Raises StackError where a program of the lab is not installed.
    """
    settings, missing = runnable(settings)
    parts = {part.name: part for part in _parts(settings)}
    return Stack(settings, {name: parts[name] for name in NAMES if name in parts}, missing)


def _parts(settings: Settings) -> list[Part]:
    parts = [postgres.part(settings), redis.part(settings), services.api(settings)]
    if Pipeline.V1 in settings.pipelines or settings.reconcile_interval_s:
        parts.append(services.aggregator(settings))
    if Pipeline.V2 in settings.pipelines:
        parts.append(services.worker(settings))
    if Pipeline.V3 in settings.pipelines:
        from backend.stack import flink_cluster, flink_job, kafka  # not loaded where they do not run

        parts += [
            kafka.part(settings),
            flink_cluster.job_manager(settings),
            flink_cluster.task_manager(settings, 1),
            flink_cluster.task_manager(settings, 2),
            flink_job.part(settings),
        ]
    return parts
