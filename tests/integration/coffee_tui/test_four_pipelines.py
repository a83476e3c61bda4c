"""A pipeline that only a package of its own knows is a column, a chain, claims and a key like any other."""

import json
import os
import subprocess
import sys
from typing import Any

import pytest


@pytest.fixture(scope="module")
def screens() -> dict[str, Any]:
    environment = {**os.environ, "COFFEE_PIPELINE_PACKAGES": "tests.toy_pipeline"}
    command = [sys.executable, "-m", "tests.integration.coffee_tui.four_pipelines"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_it_has_a_column_with_its_title_and_chain(screens: dict[str, Any]) -> None:
    titles = next(row for row in screens["live"].splitlines() if "v1  Direct" in row)
    assert [title in titles for title in ("v2  Streams", "v3  Kafka + Flink", "toy  Toy")] == [True] * 3
    chains = next(row for row in screens["live"].splitlines() if "worker" in row and "Flink" in row)
    assert "│ ● POST→● PG→● projector→● Redis" in chains
    for words in ("all is well with v1", "all is well with toy", "four ways to take an order"):
        assert words in screens["live"]


def test_its_latency_has_a_row_in_the_band(screens: dict[str, Any]) -> None:
    rows = screens["live"].splitlines()
    first = next(at for at, row in enumerate(rows) if "How late is the dashboard?" in row)
    assert [row.split()[0] for row in rows[first + 1 : first + 5]] == ["v1", "v2", "v3", "toy"]


def test_its_claims_stand_beside_the_others(screens: dict[str, Any]) -> None:
    heads, *_ = screens["compare"].splitlines()
    assert "toy" in heads
    assert "All rows," in screens["compare"]


def test_its_key_sends_an_order(screens: dict[str, Any]) -> None:
    assert screens["asked"] == [["order", "toy"], ["order", "v1", "v2", "v3", "toy"]]


def test_where_four_have_no_room_there_is_one_at_a_time(screens: dict[str, Any]) -> None:
    assert "tab shows v2 v3 toy" in screens["narrow"]
    assert "all is well with toy" not in screens["narrow"]
