"""The compose file for real: its images, its containers, what breaks in them, and an exact audit after each."""

import asyncio
import json
import subprocess
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
import yaml
from aiohttp import ClientSession, WSMsgType

from coffee_core.keys import MetricKeys
from coffee_core.pipelines import PIPELINES
from coffee_core.settings import Settings
from tests.e2e.containers import ROOT, Project, find_engine
from tests.e2e.flink_rest import active_taskmanager
from tests.outside.base_images import NoBaseImagesError, ensure_base_images
from tests.waiting import until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]
ORDERS = 60
WORKERS = ("stream-worker", "kafka-worker", "kafka-aggregator", "live-projector")
_MONITORING = ROOT / "monitoring"
_METRICS = "http://cafe-order-api:8005/metrics"


@pytest.fixture(scope="module")
def project() -> Iterator[Project]:
    """Everything, up: built by the compose file itself. Nothing is left of it but the images."""
    engine = find_engine()
    if engine is None:
        pytest.skip("no container engine: no Docker daemon with the compose plugin answers")
    try:
        ensure_base_images(engine)
    except NoBaseImagesError as error:
        pytest.skip(f"no base images: {error}")
    project = Project(engine)
    try:
        project.compose("build")
        project.up()
        yield project
    finally:
        project.down()


@pytest.fixture(autouse=True)
async def exact(project: Project) -> AsyncIterator[None]:
    """After each test every order that was accepted is stored and shown once, and no other."""
    yield

    def nothing_waits() -> bool:
        accounts = project.audit()
        for pipeline, account in accounts.items():
            assert account["balanced"], account
            # What was asked for again, for its outcome was unknown, is in v3's and v4's logs twice.
            assert account["accepted"] - (account["duplicates_dropped"] or 0) <= project.sent[pipeline], account
        return all(account["shown"]["orders"] == project.sent[name] for name, account in accounts.items())

    await until(lambda: asyncio.to_thread(nothing_waits), 120)


async def test_three_curls_and_six_keys_of_each(project: Project) -> None:
    order = '{"drink":"cappuccino","store":"downtown","price":4.50,"timestamp":"2025-01-15T10:00:00Z"}'
    for pipeline in PIPELINES:
        command = ["curl", "--silent", "--show-error", "--fail", "--request", "POST", "--data", order]
        header = ["--header", "Content-Type: application/json", f"{project.api}/api/{pipeline}/order"]
        await asyncio.to_thread(subprocess.run, [*command, *header], check=True, capture_output=True)
        project.sent[pipeline] += 1
    for pipeline in PIPELINES:
        keys = MetricKeys(pipeline).metrics

        def shown(*keys: str) -> bool:
            return project.compose("exec", "--no-TTY", "redis", "valkey-cli", "exists", *keys).strip() == "6"

        await until(lambda keys=keys: asyncio.to_thread(shown, *keys), 60)  # type: ignore[misc]


async def test_nothing_runs_as_root_or_with_a_capability(project: Project) -> None:
    for container in project.compose("ps", "--all", "--quiet").split():
        config = project.inspect(container)
        name = config["Name"]
        assert config["Config"]["User"] not in ("", "0", "root"), name
        assert config["HostConfig"]["CapDrop"] == ["ALL"], name
        assert config["HostConfig"]["Memory"] > 0, name


@pytest.mark.parametrize("service", ["cafe-order-api", "flink-job", "coffee-tui"])
async def test_an_image_has_nothing_to_install_with(project: Project, service: str) -> None:
    look = "from importlib.util import find_spec; print([*map(find_spec, ('json', 'pip', 'ensurepip'))][1:])"
    for python in ("/usr/local/bin/python3", "/opt/coffee/bin/python3"):
        found = project.compose("exec", "--no-TTY", service, python, "-c", look)
        assert found.strip() == "[None, None]", python


async def test_workers_that_are_killed(project: Project) -> None:
    workers = [worker for service in WORKERS for worker in project.containers(service)]
    sending = asyncio.create_task(project.send(ORDERS))
    for worker in workers:
        project.crash(worker)
    await sending
    for worker in workers:
        await until(lambda worker=worker: asyncio.to_thread(project.is_back, worker), 120)  # type: ignore[misc]


async def test_the_task_manager_that_works_is_killed(project: Project) -> None:
    await project.send(ORDERS)
    busy = await active_taskmanager(Settings.from_env({"FLINK_REST_URL": project.flink}))
    (container,) = [each for each in project.containers("flink-taskmanager") if each.startswith(busy)]
    sending = asyncio.create_task(project.send(ORDERS))
    project.crash(container)
    await sending
    await until(lambda: asyncio.to_thread(project.is_back, container), 120)


@pytest.mark.parametrize("service", ["flink-jobmanager", "kafka", "redis", "postgres"])
async def test_a_server_that_is_killed(project: Project, service: str) -> None:
    (container,) = project.containers(service)
    before = project.sent["v3"]
    sending = asyncio.create_task(project.send(ORDERS))
    await until(lambda: project.sent["v3"] > before, 60)
    project.crash(container)
    await sending
    await until(lambda: asyncio.to_thread(project.is_back, container), 120)
    await project.send(ORDERS)


async def test_down_and_up(project: Project) -> None:
    await project.send(ORDERS)
    before = project.anonymous_volumes()
    await asyncio.to_thread(project.compose, "down", "--timeout", "30")
    await asyncio.to_thread(project.up)
    assert project.anonymous_volumes() <= before
    await project.send(ORDERS)


async def test_what_has_ended_is_waited_for(project: Project) -> None:
    def zombies() -> bool:
        look = ("sh", "-c", "grep -h ^State: /proc/[0-9]*/status")
        return "Z" in project.compose("exec", "--no-TTY", "flink-job", *look)

    await until(lambda: asyncio.to_thread(lambda: not zombies()), 60)


async def test_three_workers_of_each_kind(project: Project) -> None:
    scaled = [word for service in WORKERS for word in ("--scale", f"{service}=3")]
    await asyncio.to_thread(project.up, "--no-recreate", *scaled)
    assert [len(project.containers(service)) for service in WORKERS] == [3] * len(WORKERS)
    await project.send(5 * ORDERS)


async def test_the_dashboard_shows_it_without_a_warning(project: Project) -> None:
    seen, shown = b"", f"{project.sent['v2']:,}".encode()
    async with ClientSession(project.dashboard) as session:
        async with session.get("/") as page:
            assert page.status == 200
        headers = {"Origin": project.dashboard}
        async with session.ws_connect("/ws?width=120&height=40", headers=headers) as socket:
            async with asyncio.timeout(60):
                async for message in socket:
                    if message.type is WSMsgType.BINARY:
                        seen += message.data
                    if shown in seen:
                        break
    assert shown in seen
    assert "loopback" not in project.compose("logs", "coffee-tui")


async def test_prometheus_evaluates_every_rule_and_has_data_for_every_panel(project: Project) -> None:
    await asyncio.to_thread(project.up, "--no-recreate", "prometheus")
    (container,) = project.containers("prometheus")
    await project.send(ORDERS)
    async with ClientSession(f"http://{project.address(container)}:9090", raise_for_status=True) as prometheus:

        async def asked(path: str, **query: str) -> Any:
            async with prometheus.get(f"/api/v1/{path}", params=query) as answer:
                return (await answer.json())["data"]

        async def rules() -> list[dict[str, Any]]:
            return [rule for group in (await asked("rules"))["groups"] for rule in group["rules"]]

        async def all_is_scraped() -> bool:
            targets = (await asked("targets"))["activeTargets"]
            return {each["scrapeUrl"]: each["health"] for each in targets} == {_METRICS: "up"}

        async def every_panel_has_data() -> bool:
            return all([(await asked("query", query=each))["result"] for each in _panels()])

        async def every_rule_is_evaluated() -> bool:
            return all(rule["health"] != "unknown" for rule in await rules())

        for condition in (all_is_scraped, every_panel_has_data, every_rule_is_evaluated):
            await until(condition, 90)
        found = await rules()
        assert len(found) == len(_alerts())
        assert [rule["name"] for rule in found if rule["health"] != "ok" or rule["state"] == "firing"] == []


async def test_the_alerts_fire_when_they_should(project: Project) -> None:
    tested = yaml.safe_load((_MONITORING / "alerts.test.yml").read_text(encoding="utf-8"))["tests"]
    fires = {each["alertname"] for test in tested for each in test["alert_rule_test"] if "exp_alerts" in each}
    assert fires == _alerts()
    mounted = ("--volume", f"{_MONITORING}:/monitoring:ro", "--env", "TMPDIR=/prometheus")
    await asyncio.to_thread(
        project.compose,
        *("run", "--rm", "--no-deps", "--no-TTY", *mounted, "--entrypoint", "promtool", "prometheus"),
        *("test", "rules", "/monitoring/alerts.test.yml"),
    )


def _panels() -> list[str]:
    """Return what the dashboard asks, with the interval that Grafana would take."""
    panels = json.loads((_MONITORING / "grafana/dashboards/coffee-rt.json").read_text(encoding="utf-8"))["panels"]
    return [each["expr"].replace("$__rate_interval", "20s") for panel in panels for each in panel["targets"]]


def _alerts() -> set[str]:
    groups = yaml.safe_load((_MONITORING / "alerts.yml").read_text(encoding="utf-8"))["groups"]
    return {rule["alert"] for group in groups for rule in group["rules"]}
