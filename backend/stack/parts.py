"""All parts of the stack for given settings: what runs, what does not, and why."""

import sys
from dataclasses import dataclass

from backend.stack import postgres, redis
from backend.stack.part import Part
from backend.stack.probes import http_ok
from backend.stack.supported_pipelines import supported_pipelines
from coffee_core.pipelines.constants import V1, V2, V3
from coffee_core.runstate import READY_FILE, run_dir
from coffee_core.settings import Settings

# The Python services of the lab as parts: the API, the aggregator, the stream worker.


API = "cafe-order-api"
AGGREGATOR = "cafe-order-aggregator"
WORKER = "stream-worker"

_ANY = ("0.0.0.0", "::", "")  # noqa: S104 - compared with, not listened on
_NEEDS = (postgres.NAME, redis.NAME)


def api(settings: Settings) -> Part:
    """Return the order API; ready when it answers, whatever its backends do."""
    host = "127.0.0.1" if settings.host in _ANY else settings.host
    url = f"{settings.api_scheme}://{host}:{settings.api_port}/livez"

    async def ready() -> bool:
        return await http_ok(url)

    return Part(API, _python("backend.api"), ready, port=settings.api_port, needs=_NEEDS)


def aggregator(settings: Settings) -> Part:
    """Return v1's aggregator."""
    return _daemon(settings, AGGREGATOR, "backend.pipelines.v1_direct.aggregator")


def worker(settings: Settings) -> Part:
    """Return one stream worker of v2."""
    return _daemon(settings, WORKER, "backend.pipelines.v2_streams.worker")


def _daemon(settings: Settings, name: str, module: str) -> Part:
    """Return a daemon that listens nowhere: ready while the file is there by which it says so."""
    file = run_dir(settings.home) / f"{name}.ready"

    async def prepare() -> None:
        file.unlink(missing_ok=True)

    async def ready() -> bool:
        return file.exists()

    return Part(name, _python(module), ready, env={READY_FILE: str(file)}, needs=_NEEDS, prepare=prepare)


def _python(module: str) -> tuple[str, ...]:
    return (sys.executable, "-m", module)


NAMES = (
    "postgres",
    "redis",
    "kafka",
    "flink-jobmanager",
    "flink-taskmanager-1",
    "flink-taskmanager-2",
    "flink-job",
    API,
    AGGREGATOR,
    WORKER,
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
    settings, missing = supported_pipelines(settings)
    parts = {part.name: part for part in _parts(settings)}
    return Stack(settings, {name: parts[name] for name in NAMES if name in parts}, missing)


def _parts(settings: Settings) -> list[Part]:
    parts = [postgres.part(settings), redis.part(settings), api(settings)]
    if V1 in settings.pipelines or settings.reconcile_interval_s:
        parts.append(aggregator(settings))
    if V2 in settings.pipelines:
        parts.append(worker(settings))
    if V3 in settings.pipelines:
        from backend.stack import (
            flink,  # not loaded where they do not run
            kafka,
        )

        parts += [
            kafka.part(settings),
            flink.job_manager(settings),
            flink.task_manager(settings, 1),
            flink.task_manager(settings, 2),
            flink.submitter(settings),
        ]
    return parts
