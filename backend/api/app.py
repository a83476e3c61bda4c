"""The ASGI application: its routes, its middleware, and the answer where no route fits."""

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from backend.api import dashboard, openapi, orders, status
from backend.api.admission import ADMISSIONS, BATCH_WEIGHT, Admission, InFlight
from backend.api.answer_counters import AnswerCounts, RequestCounts, accepted
from backend.api.dashboard import DashboardFeed
from backend.api.lag import lag_route
from backend.api.live_audit import LiveAudit
from backend.api.metrics import RequestMetrics, ShownMetrics
from backend.api.middleware import SHORT_WAYS, BearerAuth, DirectRoutes, Observe, OriginCheck, ShortWay
from backend.api.orders import BatchEndpoint, OrderEndpoint, OrderSubmitter
from backend.api.pipelines import RunningPipelines
from backend.api.problems import (
    BAD_METHOD,
    INTERNAL,
    NOT_FOUND,
    NOT_RUNNING,
    REQUEST_ID,
    ProblemError,
    problem_body,
    problem_headers,
)
from backend.api.standstill import StandstillWatcher
from backend.clients.counters import Counters
from coffee_core.pipelines import PIPELINES, Pipeline
from coffee_core.settings import Settings


def create_app(
    settings: Settings,
    on_crash: Callable[[], None],
    closing: asyncio.Event | None = None,
    counters: Counters | None = None,
    *,
    with_short_ways: bool = True,
) -> ASGIApp:
    """Build the API for the pipelines of the settings.

    ``on_crash`` is called where the API can no longer work and must be restarted; setting ``closing`` disconnects
    the watchers of the dashboard, before the server waits for its connections to end; ``counters`` are shared
    by all processes behind the port, where there may be more than this one; ``with_short_ways`` lets orders pass
    by ASGI, and by what is around this application.
    """
    running = RunningPipelines(settings)
    counters = Counters() if counters is None else counters
    for health in running.healths.values():
        health.publish_to(counters)
    answers = {pipeline: AnswerCounts(counters, pipeline) for pipeline in running.ingests}
    registry = CollectorRegistry()
    counts = RequestCounts(counters)
    feed = DashboardFeed(running.redis, settings.redis_url, closing or asyncio.Event())

    def accepted_orders() -> dict[Pipeline, int]:
        totals = counters.totals()
        return {pipeline: accepted(totals, pipeline) for pipeline in running.ingests}

    live_audit = LiveAudit(running.postgres, running.redis, running.live_logs, accepted_orders)
    standstills = StandstillWatcher(running, live_audit, counters)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[dict[str, Any]]:
        async with (
            running.keep_open(on_crash),
            feed.ending(),
            live_audit.ending(),
            standstills.watching(on_crash),
            running.closing_lags(),
        ):
            yield {ADMISSIONS: admissions, SHORT_WAYS: short_ways}

    shown = ShownMetrics(running.redis, running.healths, live_audit, standstills, counters)
    registry.register(shown)
    registry.register(RequestMetrics(counters))

    async def metrics(_: Request) -> Response:
        await shown.refresh()
        return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)

    routes: list[Route] = []
    short_ways: dict[bytes, ShortWay] = {}
    admissions: dict[bytes, Admission] = {}
    ways: list[tuple[str, OrderEndpoint, AnswerCounts]] = []
    for pipeline, ingest in running.ingests.items():
        # Limits of its own: a pipeline that stalls takes nothing from the others.
        submitter, counted, in_flight = OrderSubmitter(ingest), answers[pipeline], InFlight()
        path = f"/api/{pipeline}/order"
        order = OrderEndpoint(pipeline, submitter, counted, in_flight)
        ways.append((path, order, counted))
        batches = BatchEndpoint(pipeline, submitter, counted, in_flight)
        for at, endpoint, weight in ((path, order, 1), (f"{path}s", batches, BATCH_WEIGHT)):
            routes.append(Route(at, endpoint, methods=["POST"]))
            admissions[at.encode()] = Admission(at, in_flight, weight, counted, counts)
    app = Starlette(
        routes=[
            *routes,
            *(orders.status_route(pipeline, lookup) for pipeline, lookup in running.lookups.items()),
            *(
                orders.xray_route(pipeline, xray, running.lookups[pipeline])
                for pipeline, xray in running.xrays.items()
            ),
            *(dashboard.windows_route(pipeline, source) for pipeline, source in running.windows.items()),
            *(lag_route(pipeline, source) for pipeline, source in running.lags.items()),
            *dashboard.routes(running.redis, feed),
            *openapi.routes(settings.pipelines),
            *status.health_routes(running, standstills),
            status.lab_route(running, counters, live_audit, standstills, settings.home),
            Route("/metrics", metrics),
        ],
        exception_handlers={HTTPException: _no_route, ProblemError: _problem, Exception: _internal_error},
        lifespan=lifespan,
    )
    app.router.redirect_slashes = False
    app.state.pipelines = settings.pipelines
    direct = DirectRoutes(app, routes)
    guard = BearerAuth(direct, settings.api_token) if settings.api_token else OriginCheck(direct, settings.host)
    if with_short_ways:
        for path, order, counted in ways:
            short_ways[path.encode()] = ShortWay(path, order, guard, counts, counted)
    return Observe(guard, counts)


_PIPELINE_PATH = re.compile(
    rf"/(?:readyz/({'|'.join(PIPELINES)})|api/({'|'.join(PIPELINES)})/(?:orders?(?:/[^/]+)?(?:/xray)?|windows|lag))"
)


def _is_elsewhere(request: Request) -> bool:
    """Tell whether the path belongs to a pipeline that does not run here."""
    found = _PIPELINE_PATH.fullmatch(request.url.path)
    return found is not None and (found[1] or found[2]) not in request.app.state.pipelines


async def _no_route(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    path = request.url.path
    if error.status_code == 405:
        problem = ProblemError(BAD_METHOD, f"{request.method} is not allowed on {path}")
    elif _is_elsewhere(request):
        problem = ProblemError(NOT_RUNNING, "COFFEE_PIPELINES names the pipelines that run")
    else:
        problem = ProblemError(NOT_FOUND, f"{path[:200]} is no path of this API")
    return _response(request, problem, dict(error.headers or {}))


async def _problem(request: Request, problem: Exception) -> Response:
    assert isinstance(problem, ProblemError)
    return _response(request, problem, {})


async def _internal_error(request: Request, _: Exception) -> Response:
    # The error itself is logged by the server, with its traceback.
    return _response(request, ProblemError(INTERNAL, "The log of the API says more"), {})


def _response(request: Request, problem: ProblemError, headers: dict[str, str]) -> Response:
    body = problem_body(problem, request.scope[REQUEST_ID])
    headers |= {name.decode(): value.decode() for name, value in problem_headers(problem.type)}
    return Response(body, problem.type.status, headers)
