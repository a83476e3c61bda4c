"""Is it alive, is it ready: for the whole API and for each pipeline apart."""

from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from backend.api.backends import Backends
from coffee_core.pipelines import Pipeline


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
