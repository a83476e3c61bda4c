"""OpenTelemetry: the client's trace goes through the request into the stream worker, as spans at a collector."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from tests.integration.backend.api.process import running
from tests.integration.daemons import daemon
from tests.unit.backend.clients.test_trace_context import GOOD, TRACE
from tests.waiting import until


class Collector:
    """What an OTLP collector is to those who send: a URL that takes spans."""

    def __init__(self) -> None:
        self.spans: list[tuple[str, Span]] = []
        self.url = ""

    async def take(self, request: web.Request) -> web.Response:
        said = ExportTraceServiceRequest.FromString(await request.read())
        for each in said.resource_spans:
            [service] = [
                item.value.string_value for item in each.resource.attributes if item.key == "service.name"
            ]
            self.spans += [(service, span) for scope in each.scope_spans for span in scope.spans]
        return web.Response()


@pytest.fixture
async def collector() -> AsyncIterator[Collector]:
    found = Collector()
    app = web.Application()
    app.router.add_post("/v1/traces", found.take)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    found.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield found
    await runner.cleanup()


async def test_spans_of_request_and_worker_are_one_trace(
    tmp_path: Path, database_url: str, redis_url: str, collector: Collector
) -> None:
    asked = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, "OTEL_BSP_SCHEDULE_DELAY": "100"}
    async with running(tmp_path, REDIS_URL=redis_url, COFFEE_PIPELINES="v2", **asked) as api:
        await until(lambda: api.is_ready("v2"))
        assert (await api.order("v2", headers={"traceparent": GOOD}))[0] == 202
        assert (await api.order("v2"))[0] == 202
        async with daemon(
            "backend.pipelines.v2_streams.worker", tmp_path / "worker", database_url, redis_url, **asked
        ):
            await until(lambda: sum(service == "stream-worker" for service, _ in collector.spans) == 2, 30)
    theirs = [(service, span) for service, span in collector.spans if span.trace_id.hex() == TRACE]
    spans = dict(theirs)
    request, work = spans["cafe-order-api"], spans["stream-worker"]
    assert (request.name, work.name) == ("POST /api/v2/order", "process orders:stream")
    assert request.parent_span_id.hex() == GOOD.split("-")[2]
    assert work.parent_span_id == request.span_id
    assert len(theirs) == 2, "the order without a traceparent began a trace of its own"


async def test_a_collector_that_is_away_costs_no_order(tmp_path: Path, redis_url: str) -> None:
    asked = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1", "OTEL_EXPORTER_OTLP_TIMEOUT": "1"}
    async with running(tmp_path, REDIS_URL=redis_url, COFFEE_PIPELINES="v2", **asked) as api:
        await until(lambda: api.is_ready("v2"))
        answers = await asyncio.gather(*(api.order("v2") for _ in range(100)))
        assert {status for status, _ in answers} == {202}


def test_nothing_of_it_is_loaded_where_nobody_asks() -> None:
    code = "import sys, backend.api.__main__, backend.pipelines.v2_streams.worker as worker\n"
    code += "print('opentelemetry' in sys.modules)"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout == "False\n"
