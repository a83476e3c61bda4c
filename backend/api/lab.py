"""GET /api/lab: what the dashboard cannot read from Redis."""

import asyncio
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from backend.api.backends import Backends
from backend.api.costs import Cost, Costs
from backend.api.ledger import Ledger
from backend.api.readiness import dependencies
from backend.api.tallies import Answers
from coffee_core.clock import now_us
from coffee_core.pipelines import Pipeline
from coffee_core.runstate import PartState, read_states


def route(backends: Backends, answers: Mapping[Pipeline, Answers], ledger: Ledger, home: Path) -> Route:
    """Return /api/lab; ``home`` is where the parts of the stack publish their states."""
    started_us = now_us()
    costs = Costs()

    async def lab(_: Request) -> Response:
        ledger.ask()
        # A dozen small files, and what /proc says of their processes.
        states, cost = await asyncio.to_thread(_parts, home, costs)
        time_us = now_us()
        return JSONResponse(
            {
                "time_us": time_us,
                "uptime_s": (time_us - started_us) / 1_000_000,
                "ready": {str(pipeline): intake.health.up for pipeline, intake in backends.intakes.items()},
                "dependencies": dependencies(backends),
                "api_latency": {str(pipeline): each.latency() for pipeline, each in answers.items()},
                "answers": {str(pipeline): each.statuses() for pipeline, each in answers.items()},
                "parts": [asdict(state) for state in states],
                "costs": {name: asdict(each) for name, each in cost.items()},
                "accounts": {
                    str(each): asdict(found) for each, found in ledger.accounts.items() if each in answers
                },
                "accounts_trouble": ledger.trouble,
            },
            headers={"Cache-Control": "no-store"},
        )

    return Route("/api/lab", lab)


def _parts(home: Path, costs: Costs) -> tuple[list[PartState], dict[str, Cost]]:
    states = read_states(home)
    return states, costs.read(states)
