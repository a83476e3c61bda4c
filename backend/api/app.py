"""The ASGI application: routes, and what is answered where none fits."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from backend.api import lab, problems, readiness
from backend.api.backends import Backends
from backend.api.observe import Observe
from backend.api.order_endpoint import OrderEndpoint
from backend.api.problems import BAD_METHOD, INTERNAL, NOT_FOUND, NOT_RUNNING, ProblemError
from backend.api.request_ids import request_id
from backend.api.tallies import Answers
from coffee_core.pipelines import Pipeline
from coffee_core.settings import Settings


def create_app(settings: Settings, on_crash: Callable[[], None]) -> ASGIApp:
    """Build the API for the pipelines of the settings.

    ``on_crash`` is called where it can no longer do its work and has to be started again.
    """
    backends = Backends(settings)
    answers = {pipeline: Answers() for pipeline in backends.intakes}
    registry = CollectorRegistry()

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        async with backends.running(on_crash):
            yield

    async def metrics(_: Request) -> Response:
        return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)

    def order_route(pipeline: Pipeline) -> Route:
        endpoint = OrderEndpoint(pipeline, backends.intakes[pipeline], answers[pipeline])
        return Route(_order_path(pipeline), endpoint, methods=["POST"])

    app = Starlette(
        routes=[
            *map(order_route, backends.intakes),
            *readiness.routes(backends),
            lab.route(backends, answers, settings.home),
            Route("/metrics", metrics),
        ],
        exception_handlers={HTTPException: _refuse, Exception: _apologise},
        lifespan=lifespan,
    )
    app.router.redirect_slashes = False
    return Observe(app, registry)


def _order_path(pipeline: Pipeline) -> str:
    return f"/api/{pipeline}/order"


_PIPELINE_PATHS = frozenset(
    path for pipeline in Pipeline for path in (_order_path(pipeline), f"/readyz/{pipeline}")
)


async def _refuse(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    path = request.url.path
    if error.status_code == 405:
        problem = ProblemError(BAD_METHOD, f"{request.method} is not allowed on {path}")
    elif path in _PIPELINE_PATHS:  # a pipeline that runs here has a route of its own
        problem = ProblemError(NOT_RUNNING, "COFFEE_PIPELINES names the pipelines that run")
    else:
        problem = ProblemError(NOT_FOUND, f"{path[:200]} is no path of this API")
    return _response(request, problem, dict(error.headers or {}))


async def _apologise(request: Request, _: Exception) -> Response:
    # The error itself is logged by the server, with its traceback.
    return _response(request, ProblemError(INTERNAL, "The log of the API says more"), {})


def _response(request: Request, problem: ProblemError, headers: dict[str, str]) -> Response:
    body = problems.body(problem, request_id(request.scope))
    headers["content-type"] = problems.CONTENT_TYPE.decode()
    return Response(body, problem.kind.status, headers)
