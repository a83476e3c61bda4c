"""Pipelines beside the usual ones on a real stack: v5, and one of somebody else's, by one folder and a setting."""

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from tests.e2e.lab import ROOT, Lab
from tests.waiting import until_sync

TOY = {"COFFEE_PIPELINE_PACKAGES": "tests.toy_pipeline", "COFFEE_PIPELINES": "v1,v5,toy"}


@pytest.fixture(scope="module")
def toy_lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    lab = Lab(tmp_path_factory.mktemp("a toy") / "coffee home", "v1")
    lab.env |= TOY  # not ours: the tests' own process knows the built-in pipelines alone
    lab.expected = {"postgres", "redis", "cafe-order-api", "cafe-order-aggregator", "toy-projector"}
    lab.expected.add("live-projector")
    with lab.running():
        yield lab
    until_sync(lambda: not lab.left())


def test_it_takes_orders_and_balances(toy_lab: Lab) -> None:
    key = "0190a2c4-7e1b-7c3d-9f10-2a3b4c5d6e7f"
    order = ("order", "toy", "--drink", "latte", "--store", "uptown", "--price", "5.00")
    assert [toy_lab.coffee(*order).returncode for _ in range(3)] == [0, 0, 0]
    assert toy_lab.coffee(*order, "--key", key).returncode == 0
    conflict = toy_lab.coffee("order", "toy", "--drink", "americano", "--key", key)
    assert conflict.returncode == 1
    assert "422" in conflict.stderr
    done = toy_lab.coffee("audit", "--pipelines", "toy", "--json")
    (found,) = json.loads(done.stdout)["pipelines"]
    assert done.returncode == 0, done.stdout
    assert (found["pipeline"], found["accepted"], found["shown"]["orders"]) == ("toy", 4, 4)


async def test_the_dashboard_shows_it(toy_lab: Lab) -> None:
    command = [sys.executable, "-m", "coffee_tui", "--json"]
    dashboard = await asyncio.create_subprocess_exec(
        *command, cwd=ROOT, env=toy_lab.env, stdout=subprocess.PIPE, limit=1 << 20
    )
    views: dict[str, dict[str, Any]] = {}

    async def shows() -> bool:
        assert dashboard.stdout is not None
        views.update(
            {view["pipeline"]: view for view in json.loads(await dashboard.stdout.readline())["pipelines"]}
        )
        return (views["toy"]["orders"] or 0) >= 4 and set(_stages(views["toy"]).values()) == {"up"}

    try:
        async with asyncio.timeout(100):
            while not await shows():
                pass
    except TimeoutError:
        raise AssertionError(f"not shown: {views.get('toy')}\n{toy_lab.report()}") from None
    finally:
        dashboard.terminate()
        await dashboard.wait()
    assert list(views) == ["v1", "v5", "toy"]
    assert list(_stages(views["toy"])) == ["POST", "PG", "projector", "Redis"]


def _stages(view: dict[str, Any]) -> dict[str, str]:
    return {stage["label"]: stage["health"] for stage in view["chain"]}


@pytest.mark.slow
def test_it_is_broken_on_purpose_and_nothing_is_lost(toy_lab: Lab) -> None:
    options = ("--rate", "60", "--json")
    done = toy_lab.coffee("chaos", "kill-toy-projector", *options, timeout_s=200)
    assert done.returncode == 0, done.stdout + done.stderr
    results = {each["pipeline"]: each for each in json.loads(done.stdout)["cells"]}
    assert set(results) == {"v1", "v5", "toy"}
    for result in results.values():
        assert result["accepted"] > 60
        assert (result["lost"], result["duplicated"], result["drift"]["orders"]) == ([], [], 0)
