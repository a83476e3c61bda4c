"""An API and a Flink behind a proxy: with a path, a user and a password, on IPv6; for every client of ours."""

import asyncio
import json
from base64 import b64encode
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import ClientSession, web
from click.testing import CliRunner

from backend.cli.main import coffee
from backend.lab.bench.load_clients import LeanSender
from backend.stack.probes import http_get, http_ok
from coffee_core.load.orders import OrderMix, RandomOrders
from coffee_core.load.sender import Sender
from coffee_core.load.statistics import Outcome
from coffee_core.pipelines.constants import V2
from coffee_core.server_urls import HttpUrl
from coffee_core.settings import Settings
from coffee_tui.data.api_reader import read_lab
from coffee_tui.data.readings import ReadingError
from flink.rest import FlinkRest, FlinkUnavailableError

LOGIN = f"Basic {b64encode('barïsta:p@ss:w/rd'.encode()).decode()}"


@pytest.fixture(params=["127.0.0.1", "::1"])
async def url(request: pytest.FixtureRequest) -> AsyncIterator[str]:
    """URL of a proxy that lets in nobody without its path and its login, and notes what gets through."""

    async def pass_on(asked: web.Request) -> web.Response:
        if asked.headers.get("Authorization") != LOGIN:
            return web.json_response({}, status=401)
        if asked.headers["Host"] != HttpUrl.parse(given).host:
            return web.json_response({}, status=400)
        return web.json_response({"taskmanagers": 0, "jobs": []}, status=202 if asked.method == "POST" else 200)

    application = web.Application()
    application.router.add_route("*", "/lab/{path:.*}", pass_on)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, request.param, 0).start()
    host = f"[{request.param}]" if ":" in request.param else request.param
    given = f"http://bar%C3%AFsta:p%40ss%3Aw%2Frd@{host}:{runner.addresses[0][1]}/lab/"
    try:
        yield given
    finally:
        await runner.cleanup()


async def test_every_client_of_the_api_goes_through(url: str, tmp_path: Path) -> None:
    environ = {"API_URL": url, "COFFEE_HOME": str(tmp_path)}
    settings = Settings.from_env(environ)
    attempt = RandomOrders(OrderMix(malformed=0), seed=1).next(V2)
    async with Sender(settings.api_url, authorization=settings.authorization) as sender:
        assert (await sender.send(attempt)).outcome is Outcome.ACKNOWLEDGED
    async with LeanSender(settings.api_url, timeout_s=5, authorization=settings.authorization) as lean:
        assert (await lean.send(attempt)).outcome is Outcome.ACKNOWLEDGED
    assert await http_ok(f"{settings.api_url}/readyz/v2", settings.authorization)
    assert not await http_ok(f"{settings.api_url}/readyz/v2")
    async with ClientSession(headers=settings.authorization) as session:
        with pytest.raises(ReadingError, match=r"(?s).+"):  # it is let in, and answered with something else
            await read_lab(session, settings.api_url)
    runner = CliRunner(env=environ)
    sent = await asyncio.to_thread(runner.invoke, coffee, ["order", "v2"], standalone_mode=False)
    assert sent.return_value == 0, sent.output
    assert sent.stdout.startswith("202 ")


async def test_flinks_client_goes_through_and_repeats_no_password(url: str) -> None:
    async with FlinkRest(Settings.from_env({"FLINK_REST_URL": url}).flink_rest_url) as flink:
        assert await flink.serves()
        assert await flink.jobs() == []
    async with FlinkRest(url.replace("bar%C3%AFsta", "nobody")) as flink:
        with pytest.raises(FlinkUnavailableError, match="401") as refused:
            await flink.jobs()
    assert "p%40ss" not in str(refused.value)
    assert "p@ss" not in str(refused.value)


async def test_a_probe_reads_a_url_with_a_query_and_a_login(url: str) -> None:
    body = await http_get(f"{url}overview?a=b")
    assert body is not None
    assert json.loads(body)["jobs"] == []
