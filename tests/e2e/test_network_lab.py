"""A lab with a relay on every link: one is broken under load, then all of them; no order is lost or doubled."""

import json
import sys

from tests.e2e.lab import Lab
from tests.waiting import until_sync

LINKS = {
    f"{client}:{server}"
    for client in ("cafe-order-api", "cafe-order-aggregator", "stream-worker")
    for server in ("postgres", "redis")
}


def break_network(lab: Lab, fault: str, *options: str) -> dict[str, dict[str, object]]:
    """Run a fault for two seconds under load and return the result of each pipeline."""
    done = lab.coffee("chaos", fault, "--rate", "60", "--for", "2", "--json", *options, timeout_s=200)
    sys.stdout.write(done.stderr)
    assert done.returncode == 0, done.stdout + done.stderr
    cells = {cell["pipeline"]: cell for cell in json.loads(done.stdout)["cells"]}
    assert set(cells) == {"v1", "v2"}
    for cell in cells.values():
        assert cell["accepted"] > 60, cell
        assert (cell["lost"], cell["duplicated"], cell["drift"]["orders"]) == ([], [], 0), cell
    return cells


def test_links_that_break_lose_and_double_nothing(small_lab: Lab) -> None:
    small_lab.env["COFFEE_NETWORK_LAB"] = "yes"
    small_lab.expected |= {"network-lab"}
    small_lab.start()
    assert small_lab.status()["network-lab"]["detail"].startswith(f"{len(LINKS)} links; ")
    listed = {fault["name"]: fault for fault in json.loads(small_lab.coffee("chaos", "--json").stdout)}
    assert set(listed["network-one-way"]["links"]) == LINKS
    assert listed["kill-redis"]["links"] == []

    cells = break_network(small_lab, "network-one-way", "--link", "stream-worker:redis")
    for cell in cells.values():
        assert (cell["refused"], cell["unknown"]) == (0, 0), "only a worker has heard nothing"
    break_network(small_lab, "network-reset")

    unknown = small_lab.coffee("chaos", "network-delay", "--link", "stream-worker:kafka")
    assert (unknown.returncode, "choose from" in unknown.stderr) == (2, True), unknown.stderr
    assert small_lab.stop() == 0, small_lab.report()
    until_sync(lambda: not small_lab.left())
