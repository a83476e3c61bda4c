"""Links of Kafka and Flink break under load; a TaskManager that is parted from its JobManager is fenced."""

import json
import sys
from collections.abc import Iterator

import pytest

from backend.lab.bench.bench_stack import free_range
from coffee_core.pipelines.constants import V3
from tests.e2e.lab import V3_PARTS, Lab
from tests.waiting import until_sync

pytestmark = pytest.mark.slow

_PORTS = 80


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """v3 and v4 with a relay on every link."""
    network = {"COFFEE_NETWORK_LAB": "yes", "COFFEE_NETWORK_LAB_PORT": str(free_range(_PORTS))}
    lab = Lab(tmp_path_factory.mktemp("network") / "coffee home", "v3,v4", **network)
    assert V3 in lab.settings.pipelines
    lab.expected = V3_PARTS | {"network-lab", "postgres", "redis", "cafe-order-api", "kafka-worker"}
    with lab.running():
        yield lab
    until_sync(lambda: not lab.left())


def working(lab: Lab) -> str:
    """Return which TaskManager runs the job, once the other one is warm; empty where it is not yet so."""
    details = {name: part.detail for name, part in lab.parts().items() if name.startswith("flink-taskmanager")}
    return next((name for name, detail in details.items() if detail == "works"), "") * (
        "spare, warm" in details.values()
    )


def break_link(lab: Lab, fault: str, link: str, for_s: int) -> None:
    options = ("--rate", "40", "--for", str(for_s), "--json")
    done = lab.coffee("chaos", fault, "--link", link, *options, timeout_s=300)
    sys.stdout.write(done.stderr)
    assert done.returncode == 0, done.stdout + done.stderr
    cells = json.loads(done.stdout)["cells"]
    assert [cell["pipeline"] for cell in cells] == ["v3", "v4"]
    for cell in cells:
        assert cell["accepted"] > 40, cell
        assert (cell["lost"], cell["duplicated"], cell["drift"]["orders"]) == ([], [], 0), cell
        assert (cell["refused"], cell["unknown"]) == (0, 0), cell


def test_a_task_manager_that_is_parted_is_fenced_and_the_other_one_goes_on(lab: Lab) -> None:
    before = until_sync(lambda: working(lab), 180, "a TaskManager works, and its spare is warm")
    break_link(lab, "network-black-hole", f"{before}:flink-jobmanager", 8)
    after = until_sync(lambda: working(lab), 180, "a TaskManager works again, and its spare is warm")
    assert after != before


@pytest.mark.parametrize(
    ("fault", "link"),
    [
        ("network-one-way", "flink-job:redis"),
        ("network-one-way", "flink-job:postgres"),
        ("network-reset", "flink-job:kafka"),
        ("network-black-hole", "kafka-aggregator:kafka"),
        ("network-slow-close", "kafka-worker:postgres"),
    ],
)
def test_what_is_in_doubt_is_counted_once(lab: Lab, fault: str, link: str) -> None:
    break_link(lab, fault, link, 5)
