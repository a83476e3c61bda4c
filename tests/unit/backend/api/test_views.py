"""What operators and the dashboard read, while nothing is up yet."""

import json

from starlette.types import ASGIApp

from coffee_core.runstate import PartState, State, run_dir, write_state
from coffee_core.settings import Settings
from tests.unit.backend.api.asgi import VALID, ask


async def test_readyz_names_what_each_pipeline_misses(app: ASGIApp) -> None:
    answer = await ask(app, "/readyz", method="GET")
    assert answer.status == 503
    said = answer.json
    assert said["ready"] is False
    assert {name: each["missing"] for name, each in said["pipelines"].items()} == {
        "v1": ["postgres"],
        "v2": ["redis"],
        "v3": ["kafka"],
    }
    for each in said["dependencies"].values():
        assert each.keys() == {"up", "detail", "since_us"}
    one = await ask(app, "/readyz/v2", method="GET")
    assert (one.status, one.json) == (503, {"ready": False, "missing": ["redis"], "standstill": None})


async def test_the_lab_counts_answers_and_lists_parts(app: ASGIApp, settings: Settings) -> None:
    write_state(settings.home, PartState("kafka", None, 9092, State.WAITING))
    await ask(app, "/api/v1/order", json.dumps(VALID).encode())
    await ask(app, "/api/v1/order", b"{")
    said = (await ask(app, "/api/lab", method="GET")).json
    assert said["answers"] == {"v1": {"400": 1, "503": 1}, "v2": {}, "v3": {}}
    assert said["api_latency"] == {"v1": {}, "v2": {}, "v3": {}}
    assert said["ready"] == {"v1": False, "v2": False, "v3": False}
    assert [(part["name"], part["port"]) for part in said["parts"]] == [("kafka", 9092)]
    assert said["uptime_s"] >= 0
    assert said["time_us"] > 0


async def test_metrics_are_counted_by_route_method_and_status(app: ASGIApp) -> None:
    await ask(app, "/api/v1/order", b"{")
    await ask(app, "/wp-login.php", method="BREW")
    text = (await ask(app, "/metrics", method="GET")).body.decode()
    assert 'coffee_api_requests_total{method="POST",route="/api/v1/order",status="400"} 1.0' in text
    assert 'coffee_api_requests_total{method="other",route="unmatched",status="404"} 1.0' in text
    assert 'coffee_api_request_seconds_count{route="/api/v1/order"} 1.0' in text
    assert "coffee_api_requests_in_flight 1.0" in text


async def test_a_mistake_of_the_api_is_a_problem_too(app: ASGIApp, settings: Settings) -> None:
    (run_dir(settings.home) / "kafka.json").mkdir(parents=True)
    answer = await ask(app, "/api/lab", method="GET", raises=IsADirectoryError)
    assert (answer.status, answer.headers["content-type"]) == (500, "application/problem+json")
    assert answer.json["type"] == "/problems/internal-error"
    text = (await ask(app, "/metrics", method="GET")).body.decode()
    assert 'coffee_api_requests_total{method="GET",route="/api/lab",status="500"} 1.0' in text
