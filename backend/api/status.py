"""GET /api/lab: what the dashboard cannot read from Redis."""

import asyncio
import time
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from backend.api.answer_counters import latency, statuses
from backend.api.backends import Backends
from backend.api.live_audit import Ledger
from backend.clients.counters import Counters
from coffee_core.clock import now_us
from coffee_core.pipelines import Pipeline
from coffee_core.runstate import PartState, read_states

# What the parts of an embedded stack cost: processor time and memory of each part's processes.


INTERVAL_S = 3.0
"""Least seconds between two readings, each of which visits every process of the machine."""


@dataclass(frozen=True, slots=True)
class Cost:
    """One part: its process and all below it."""

    cores: float | None
    """Processor time per second, since the reading before; None at first."""
    memory_bytes: int
    """Resident memory, shared pages counted once."""


class Costs:
    """Reads what the published process ids cost; a part without one (given by a URL) is not there."""

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
            used_s, known, own, shared = 0.0, False, 0, 0
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
                common = getattr(memory, "shared", 0)
                own, shared = own + memory.rss - common, max(shared, common)
            if own or shared:
                costs[name] = Cost(used_s / span_s if known else None, own + shared)
        return costs, seconds


def _tree(roots: set[int], below: dict[int, list[int]]) -> list[int]:
    found = list(roots)
    for pid in found:
        found += (each for each in below.get(pid, ()) if each not in roots)
    return found


def route(backends: Backends, counters: Counters, ledger: Ledger, home: Path) -> Route:
    """Return /api/lab; ``home`` is where the parts of the stack publish their states."""
    costs = Costs()

    async def lab(_: Request) -> Response:
        ledger.ask()
        living, totals = counters.living(), counters.totals()
        processes = {number: int(each["pid"]) for number, each in living.items()}
        # A dozen small files, and what /proc says of their processes.
        states, cost = await asyncio.to_thread(_parts, home, costs, processes.values())
        time_us = now_us()
        return JSONResponse(
            {
                "time_us": time_us,
                "uptime_s": time_us / 1_000_000 - min(each["started"] for each in living.values()),
                "processes": processes,
                "ready": {
                    pipeline: intake.health.for_all(living.values())["up"]
                    for pipeline, intake in backends.intakes.items()
                },
                "dependencies": {name: each.for_all(living.values()) for name, each in backends.healths.items()},
                "api_latency": {pipeline: latency(totals, pipeline) for pipeline in backends.intakes},
                "answers": {pipeline: statuses(totals, pipeline) for pipeline in backends.intakes},
                "parts": [asdict(state) for state in states],
                "costs": {name: asdict(each) for name, each in cost.items()},
                "accounts": {
                    each: found.as_json() for each, found in ledger.accounts.items() if each in backends.intakes
                },
                "accounts_trouble": ledger.trouble,
            },
            headers={"Cache-Control": "no-store"},
        )

    return Route("/api/lab", lab)


def _parts(home: Path, costs: Costs, processes: Collection[int]) -> tuple[list[PartState], dict[str, Cost]]:
    states = read_states(home)
    return states, costs.read(states, {"cafe-order-api": processes})


# Is it alive, is it ready: for the whole API and for each pipeline apart.


def readiness(backends: Backends) -> dict[str, Any]:
    """Return what /readyz says."""
    pipelines = {str(pipeline): pipeline_readiness(backends, pipeline) for pipeline in backends.intakes}
    return {
        "ready": all(each["ready"] for each in pipelines.values()),
        "pipelines": pipelines,
        "dependencies": dependencies(backends),
    }


def pipeline_readiness(backends: Backends, pipeline: Pipeline) -> dict[str, Any]:
    """Return whether one pipeline takes orders, and what it misses."""
    health = backends.intakes[pipeline].health
    return {"ready": health.up, "missing": [] if health.up else [health.name]}


def dependencies(backends: Backends) -> dict[str, dict[str, bool | str | int]]:
    """Return the state of each dependency by name."""
    return {name: health.as_dict() for name, health in backends.healths.items()}


def routes(backends: Backends) -> list[Route]:
    """Return /livez, /readyz and /readyz/{v1|v2|v3}."""

    async def livez(_: Request) -> Response:
        return PlainTextResponse("ok\n")

    async def readyz(_: Request) -> Response:
        return _answer(readiness(backends))

    def one(pipeline: Pipeline) -> Route:
        async def readyz_one(_: Request) -> Response:
            return _answer(pipeline_readiness(backends, pipeline))

        return Route(f"/readyz/{pipeline}", readyz_one)

    return [Route("/livez", livez), Route("/readyz", readyz), *map(one, backends.intakes)]


def _answer(state: dict[str, Any]) -> Response:
    return JSONResponse(state, 200 if state["ready"] else 503, headers={"Cache-Control": "no-store"})
