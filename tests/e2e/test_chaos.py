"""Three cells of the matrix a day, in turn: not one order lost, doubled or adrift under a fault."""

import json
import os
import signal
import subprocess
import sys
from datetime import UTC, date, datetime

import psutil
import pytest

from backend.lab.chaos.faults import FAULTS
from tests.e2e.lab import Lab
from tests.waiting import until_sync

CELLS = (
    ("kill-stream-worker", "v1,v2"),
    ("flush-metrics", "v1,v2,v3"),
    ("kill-redis", "v1,v3"),
    ("kill-kafka", "v1,v2"),
    ("kill-cafe-order-api", "v1,v2"),
    ("replay-v3", "v2,v3"),
    ("poison-stream", "v2"),
    ("full-disk-redis", "v1,v2"),
    ("freeze-stream-worker", "v2"),
    ("kill-postgres", "v2,v3"),
    ("full-memory-redis", "v1,v2,v3"),
    ("retry-storm", "v1,v2,v3"),
    ("replay-v2", "v2"),
    ("freeze-redis", "v2"),
    ("kill-flink-taskmanager", "v1,v2,v3"),
    ("slow-postgres", "v1,v2"),
    ("kill-flink-jobmanager", "v1,v2,v3"),
    ("kill-cafe-order-aggregator", "v1,v2,v3"),
    ("kill-flink-job", "v3"),
    ("freeze-kafka", "v1,v2"),
    ("poison-topic", "v3"),
    ("full-disk-postgres", "v1,v2"),
    ("kill-redis", "v2"),
    ("freeze-cafe-order-api", "v3"),
    ("lock-postgres", "v1,v2"),
    ("full-disk-kafka", "v1,v2,v3"),
)
"""Quick ones: a fault, and the pipelines that are under load. The whole matrix is `coffee chaos --all`."""
A_DAY = 3
DAY = date.fromisoformat(os.environ.get("CHAOS_DAY") or datetime.now(UTC).date().isoformat())
"""The day whose cells run: CHAOS_DAY=2026-03-01 has those of that day. It stands in the name of each test."""


def of_the_day() -> list[tuple[str, str]]:
    """Return the cells of the day; all have their turn in as many days as it takes."""
    first = DAY.toordinal() * A_DAY
    return [CELLS[(first + place) % len(CELLS)] for place in range(A_DAY)]


@pytest.mark.parametrize(
    ("fault", "pipelines"), [pytest.param(*cell, id=f"{DAY}-{'-'.join(cell)}") for cell in of_the_day()]
)
def test_nothing_is_lost_or_counted_twice(lab: Lab, fault: str, pipelines: str) -> None:
    options = ["--pipeline", pipelines, "--rate", "60", "--json"]
    done = lab.coffee("chaos", fault, *options, *(["--for", "2"] if FAULTS[fault].lasts else []), timeout_s=200)
    sys.stdout.write(done.stderr)
    assert done.returncode == 0, done.stdout + done.stderr
    told = json.loads(done.stdout)
    assert [cell["pipeline"] for cell in told["cells"]] == pipelines.split(",")
    for cell in told["cells"]:
        assert cell["accepted"] > 60, cell
        assert (cell["lost"], cell["duplicated"], cell["drift"]["orders"]) == ([], [], 0), cell
        assert cell["visible_again_s"] is not None, cell
        if cell["pipeline"] not in FAULTS[fault].may_refuse:
            assert (cell["refused"], cell["unknown"]) == (0, 0), cell
    checked = lab.coffee("chaos", "--check", told["cells"][0]["evidence"])
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_an_end_in_the_middle_leaves_nothing_frozen(lab: Lab) -> None:
    worker = psutil.Process(lab.status()["stream-worker"]["pid"])
    with subprocess.Popen(
        [
            sys.executable,
            "-m",
            "backend.cli",
            "chaos",
            "freeze-stream-worker",
            "--pipeline",
            "v2",
            "--for",
            "60",
            "--rate",
            "20",
        ],
        env=lab.env,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as chaos:
        until_sync(lambda: worker.status() == psutil.STATUS_STOPPED, within_s=120)
        chaos.send_signal(signal.SIGINT)
        until_sync(lambda: worker.status() != psutil.STATUS_STOPPED, within_s=5)
        _, said = chaos.communicate(timeout=30)
    assert chaos.returncode == 1
    assert "interrupted" in said
    assert worker.is_running()
