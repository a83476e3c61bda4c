"""GET /api/v…/lag: how far the consumers of a pipeline's log are behind, by partition and by consumer."""

from dataclasses import asdict

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from backend.api.problems import UNAVAILABLE, ProblemError
from backend.pipelines.lag import LagSource
from coffee_core.clock import now_us
from coffee_core.errors import OutcomeUnknownError, UnavailableError
from coffee_core.pipelines import Pipeline


def lag_route(pipeline: Pipeline, source: LagSource | None) -> Route:
    """Return the route of one pipeline; it raises ProblemError. Nothing is read unless somebody asks."""

    async def lag(_: Request) -> Response:
        try:
            lags = [] if source is None else await source.read()
        except (UnavailableError, OutcomeUnknownError) as error:
            raise ProblemError(UNAVAILABLE, str(error)) from error
        content = {"time_us": now_us(), "lags": [asdict(each) for each in lags]}
        return JSONResponse(content, headers={"Cache-Control": "no-store"})

    return Route(f"/api/{pipeline}/lag", lag, methods=["GET"])
