"""GET /api/lab: what the dashboard cannot read from Redis."""

import asyncio
from collections.abc import Collection
from dataclasses import asdict
from pathlib import Path

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from backend.api.backends import Backends
from backend.api.costs import Cost, Costs
from backend.api.counters import Counters
from backend.api.ledger import Ledger
from backend.api.tallies import latency, statuses
from coffee_core.clock import now_us
from coffee_core.runstate import PartState, read_states


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
                    each: asdict(found) for each, found in ledger.accounts.items() if each in backends.intakes
                },
                "accounts_trouble": ledger.trouble,
            },
            headers={"Cache-Control": "no-store"},
        )

    return Route("/api/lab", lab)


def _parts(home: Path, costs: Costs, processes: Collection[int]) -> tuple[list[PartState], dict[str, Cost]]:
    states = read_states(home)
    return states, costs.read(states, {"cafe-order-api": processes})
