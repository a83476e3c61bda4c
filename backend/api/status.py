"""The state of the API itself: /livez, /startupz, /readyz; /api/lab, what the dashboard cannot read from Redis."""

import asyncio
import time
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from backend.api.answer_counters import latency, statuses
from backend.api.live_audit import LiveAudit
from backend.api.pipelines import RunningPipelines
from backend.api.standstill import StandstillWatcher
from backend.clients.counters import Counters
from coffee_core.clock import now_us
from coffee_core.durability import Durability, read_durability
from coffee_core.pipelines import Pipeline
from coffee_core.runstate import Cost, PartState, read_states

INTERVAL_S = 3.0
"""Seconds between two measurements of the processes, at least: one visits every process of the machine."""
CONNECTED_WITHIN_S = 10.0
"""Seconds after its start for which the API waits for a first answer of every dependency."""
_UNCACHED = {"Cache-Control": "no-store"}


class Costs:
    """Measures processor time and memory of the parts by process id; omits a part without one (given by a URL)."""

    def __init__(self) -> None:
        self._seconds: dict[tuple[int, float], float] = {}
        self._at_s = 0.0
        self._newest: dict[str, Cost] = {}

    def read(self, states: Iterable[PartState], others: Mapping[str, Iterable[int]] = {}) -> dict[str, Cost]:
        """Return the cost of each part by name, with ``others`` of its processes; blocks for milliseconds."""
        roots = {state.name: {state.pid, *others.get(state.name, ())} for state in states if state.pid is not None}
        now_s = time.monotonic()
        if not roots:
            return {}
        if now_s - self._at_s >= INTERVAL_S:
            self._newest, self._seconds = self._measure(roots, now_s - self._at_s)
            self._at_s = now_s
        return self._newest

    def _measure(
        self, roots: dict[str, set[int]], span_s: float
    ) -> tuple[dict[str, Cost], dict[tuple[int, float], float]]:
        # Not at the top: an API beside servers of its own, in a container, has no use for it.
        import psutil

        below: dict[int, list[int]] = defaultdict(list)
        for process in psutil.process_iter(["ppid"]):
            below[process.info["ppid"]].append(process.pid)
        costs, seconds = {}, {}
        for name, pids in roots.items():
            used_s, known, private_bytes, shared_bytes = 0.0, False, 0, 0
            for pid in _tree(pids, below):
                try:
                    process = psutil.Process(pid)
                    with process.oneshot():
                        times, memory = process.cpu_times(), process.memory_info()
                        key = (pid, process.create_time())
                except psutil.Error:
                    continue  # it has ended meanwhile
                seconds[key] = times.user + times.system
                # Time of a process that was not there before counts from its beginning, which lies in the span.
                used_s += seconds[key] - self._seconds.get(key, seconds[key] if not self._seconds else 0.0)
                known = known or bool(self._seconds)
                shared = getattr(memory, "shared", 0)
                private_bytes += memory.rss - shared
                shared_bytes = max(shared_bytes, shared)
            if private_bytes or shared_bytes:
                costs[name] = Cost(used_s / span_s if known else None, private_bytes + shared_bytes)
        return costs, seconds


def _tree(roots: set[int], below: dict[int, list[int]]) -> list[int]:
    found = list(roots)
    for pid in found:
        found += (child for child in below.get(pid, ()) if child not in roots)
    return found


def lab_route(
    running: RunningPipelines,
    counters: Counters,
    live_audit: LiveAudit,
    standstills: StandstillWatcher,
    home: Path,
) -> Route:
    """Return /api/lab; ``home`` is where the parts of the stack publish their states."""
    costs = Costs()

    async def lab(_: Request) -> Response:
        live_audit.ask()
        living, totals = counters.living(), counters.totals()
        processes = {number: int(numbers["pid"]) for number, numbers in living.items()}
        # Blocks: reads a dozen small files, and the figures of their processes in /proc.
        states, cost, durability = await asyncio.to_thread(_parts, home, costs, processes.values())
        time_us = now_us()
        return JSONResponse(
            {
                "time_us": time_us,
                "uptime_s": time_us / 1_000_000 - min(numbers["started"] for numbers in living.values()),
                "processes": processes,
                "ready": {
                    pipeline: ingest.health.for_all(living.values())["up"]
                    for pipeline, ingest in running.ingests.items()
                },
                "dependencies": {
                    name: health.for_all(living.values()) for name, health in running.healths.items()
                },
                "api_latency": {pipeline: latency(totals, pipeline) for pipeline in running.ingests},
                "answers": {pipeline: statuses(totals, pipeline) for pipeline in running.ingests},
                "durability": durability.label,
                "parts": [asdict(state) for state in states],
                "costs": {name: asdict(part) for name, part in cost.items()},
                "accounts": {
                    pipeline: counts.as_json()
                    for pipeline, counts in live_audit.counts.items()
                    if pipeline in running.ingests
                },
                "accounts_age_s": live_audit.age_s,
                "accounts_trouble": live_audit.trouble,
                "standstills": {pipeline: standstills.as_json(pipeline) for pipeline in running.ingests},
            },
            headers=_UNCACHED,
        )

    return Route("/api/lab", lab)


def _parts(
    home: Path, costs: Costs, processes: Collection[int]
) -> tuple[list[PartState], dict[str, Cost], Durability]:
    states = read_states(home)
    return states, costs.read(states, {"cafe-order-api": processes}), read_durability(home)


def health_routes(running: RunningPipelines, standstills: StandstillWatcher) -> list[Route]:
    """Return /livez, /startupz, /readyz and /readyz/{pipeline}."""
    started_s = time.monotonic()

    async def livez(_: Request) -> Response:
        return PlainTextResponse("ok\n")

    async def startupz(_: Request) -> Response:
        # Not for longer: a pipeline whose server is away answers 503 by itself, and the others go on.
        waits = time.monotonic() - started_s < CONNECTED_WITHIN_S
        missing = {ingest.health.name for ingest in running.ingests.values() if not ingest.health.ever_up}
        started = not (waits and missing)
        return JSONResponse(
            {"started": started, "missing": sorted(missing)}, 200 if started else 503, headers=_UNCACHED
        )

    async def readyz(_: Request) -> Response:
        return _readiness_response(readiness(running, standstills))

    def of_one(pipeline: Pipeline) -> Route:
        async def readyz_one(_: Request) -> Response:
            return _readiness_response(pipeline_readiness(running, standstills, pipeline))

        return Route(f"/readyz/{pipeline}", readyz_one)

    health = (Route("/livez", livez), Route("/startupz", startupz), Route("/readyz", readyz))
    return [*health, *map(of_one, running.ingests)]


def readiness(running: RunningPipelines, standstills: StandstillWatcher) -> dict[str, Any]:
    """Return the JSON of /readyz: the whole API, each pipeline, each dependency."""
    pipelines = {str(pipeline): pipeline_readiness(running, standstills, pipeline) for pipeline in running.ingests}
    return {
        "ready": all(one["ready"] for one in pipelines.values()),
        "pipelines": pipelines,
        "dependencies": dependencies(running),
    }


def pipeline_readiness(
    running: RunningPipelines, standstills: StandstillWatcher, pipeline: Pipeline
) -> dict[str, Any]:
    """Return whether one pipeline accepts orders, which dependency is missing, and why accepted orders wait.

    A pipeline that stands still is ready all the same: its orders are durable, and wait.
    """
    health = running.ingests[pipeline].health
    missing = [] if health.up else [health.name]
    return {"ready": health.up, "missing": missing, "standstill": standstills.as_json(pipeline)}


def dependencies(running: RunningPipelines) -> dict[str, dict[str, bool | str | int]]:
    """Return the state of each dependency by name."""
    return {name: health.as_dict() for name, health in running.healths.items()}


def _readiness_response(state: dict[str, Any]) -> Response:
    return JSONResponse(state, 200 if state["ready"] else 503, headers=_UNCACHED)
