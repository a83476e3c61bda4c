"""Three cells of the matrix a day, in turn: not one order lost, doubled or adrift under a fault."""

import json
import signal
import subprocess
import sys
from datetime import UTC, datetime

import psutil
import pytest

from tests.e2e.lab import Lab
from tests.waiting import until_sync

CELLS = (
    ("kill-stream-worker", "v2"),
    ("flush-metrics", "v1,v2,v3"),
    ("kill-redis", "v1,v3"),
    ("kill-cafe-order-api", "v1,v2"),
    ("poison-stream", "v2"),
    ("freeze-stream-worker", "v2"),
    ("kill-postgres", "v1,v2"),
    ("retry-storm", "v1,v2,v3"),
    ("freeze-redis", "v2"),
    ("kill-flink-taskmanager", "v3"),
    ("kill-cafe-order-aggregator", "v1"),
    ("poison-topic", "v3"),
    ("kill-redis", "v2"),
    ("freeze-cafe-order-api", "v3"),
    ("lock-postgres", "v1,v2"),
)
"""Quick ones: a fault, and the pipelines that are under load. The whole matrix is `coffee chaos --all`."""
A_DAY = 3


def of_today() -> list[tuple[str, str]]:
    """Return the cells of this day of the year."""
    first = datetime.now(UTC).timetuple().tm_yday * A_DAY
    return [CELLS[(first + place) % len(CELLS)] for place in range(A_DAY)]


@pytest.mark.parametrize(("fault", "pipelines"), of_today())
def test_nothing_is_lost_or_counted_twice(lab: Lab, fault: str, pipelines: str) -> None:
    sys.stdout.write(f"today: {fault} under load on {pipelines}\n")
    options = ("--pipeline", pipelines, "--rate", "60", "--for", "2", "--json")
    done = lab.coffee("chaos", fault, *options, timeout_s=200)
    sys.stdout.write(done.stderr)
    assert done.returncode == 0, done.stdout + done.stderr
    told = json.loads(done.stdout)
    assert [cell["pipeline"] for cell in told["cells"]] == pipelines.split(",")
    for cell in told["cells"]:
        assert cell["accepted"] > 60, cell
        assert (cell["lost"], cell["duplicated"], cell["drift"]["orders"]) == ([], [], 0), cell
        assert cell["visible_again_s"] is not None, cell


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
        until_sync(lambda: worker.status() == psutil.STATUS_STOPPED, within_s=60)
        chaos.send_signal(signal.SIGINT)
        until_sync(lambda: worker.status() != psutil.STATUS_STOPPED, within_s=5)
        _, said = chaos.communicate(timeout=30)
    assert chaos.returncode == 1
    assert "interrupted" in said
    assert worker.is_running()
