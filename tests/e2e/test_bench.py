"""``coffee bench`` in its smallest size, on the stack that it starts itself. Its figures mean nothing here."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path

import jsonschema
import psutil
import pytest

from tests.e2e.lab import ROOT
from tests.waiting import until_sync


class Bench:
    """A home, and the bench that runs beside it."""

    def __init__(self, folder: Path) -> None:
        self.home, self.out = folder / "a home", folder / "a report"
        self.env = {name: value for name, value in os.environ.items() if not name.startswith("COFFEE_")}
        self.env |= {"COFFEE_HOME": str(self.home), "COFFEE_PIPELINES": "v2"}

    def start(self, *words: str) -> "subprocess.Popen[str]":
        """Start `coffee bench`."""
        command = [sys.executable, "-m", "backend.cli", "bench", "--tiny", "--out", str(self.out), *words]
        pipe = subprocess.PIPE
        return subprocess.Popen(command, cwd=ROOT, env=self.env, stdout=pipe, stderr=pipe, text=True)

    def left(self) -> list[str]:
        """Return what is left of its stack: folders, and the command lines of processes."""
        lines = [str(folder) for folder in self.home.glob("coffee-bench-*")]
        for process in psutil.process_iter():
            try:
                if process.environ().get("COFFEE_HOME", "").startswith(str(self.home)):
                    lines.append(" ".join(process.cmdline()))
            except (psutil.NoSuchProcess, psutil.AccessDenied):
                continue
        return lines


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    """Nothing of it is left afterwards."""
    bench = Bench(tmp_path)
    yield bench
    until_sync(lambda: not bench.left(), 30)


def test_a_whole_run_is_reported_as_its_schema_says(bench: Bench) -> None:
    """Also of pipelines beside the usual ones, one of them somebody else's."""
    bench.env |= {"COFFEE_PIPELINE_PACKAGES": "tests.toy_pipeline", "COFFEE_PIPELINES": "v2,v5,toy"}
    page = bench.home.parent / "page.html"
    said, told = bench.start("--json", "--html", str(page)).communicate()
    report = json.loads(said)
    assert f"coffee bench --tiny --pipelines {','.join(report['pipelines'])}" in page.read_text(encoding="utf-8")
    schema = json.loads((files("backend.lab.bench") / "report.schema.json").read_text(encoding="utf-8"))
    jsonschema.validate(report, schema)
    assert report["complete"], told
    assert list(report["audit"]) == ["v2", "v5", "toy"]
    for found in report["audit"].values():
        assert found.items() >= {"lost": 0, "duplicated": 0, "drift": 0}.items()
    for name in (
        *("noop.closed.32.rate", "v2.closed.1.rate", "v2.first.visible", "v2.recovery", "v2.drain.whole"),
        *("toy.closed.1.rate", "toy.first.visible", "v5.hot.closed.32.rate", "v5.hot.breakpoint"),
    ):
        assert report["figures"][name]["values"], name
    # Who keeps up with nothing on a busy machine has nothing to catch up with, and says so.
    told_of = [note for note in report["notes"] if "catching up" in note or "was not level" in note]
    assert ("v2.catch_up.50" in report["figures"]) is not bool(told_of), report["notes"]
    assert report["facts"]["durability"]["appendfsync"] == "always"
    assert {"report.md", "report.json", "flow.png", "flow.svg"} <= {path.name for path in bench.out.iterdir()}
    compared = subprocess.run(
        [sys.executable, "-m", "backend.cli", "bench", "--compare", bench.out, bench.out],
        cwd=ROOT,
        env=bench.env,
        capture_output=True,
        text=True,
        check=True,
    )
    assert compared.stdout.strip() == "nothing has changed beyond noise"


@pytest.mark.slow
def test_a_soak_has_a_value_a_slice(bench: Bench) -> None:
    said, told = bench.start("--soak", "3s", "--json").communicate()
    figures = json.loads(said)
    for name in ("soak.memory", "v2.soak.dashboard.p99", "v2.soak.disk", "v2.soak.failed"):
        assert len(figures[name]["values"]) == 3, told


def test_what_is_done_when_it_is_interrupted_is_kept(bench: Bench) -> None:
    process = bench.start()
    assert process.stderr is not None
    for line in process.stderr:
        if "bare bulk INSERT" in line:
            break
    process.send_signal(signal.SIGINT)
    said, told = process.communicate(timeout=120)
    assert process.returncode == 1, told
    assert "not complete" in said
    assert "note: interrupted at" in said
    assert "ceiling.xadd.p50" in json.loads((bench.out / "report.json").read_text(encoding="utf-8"))["figures"]


@pytest.mark.slow
def test_distance_is_measured_between_every_two_parts(bench: Bench) -> None:
    said, told = bench.start("--rtt", "20", "--json").communicate()
    figures = json.loads(said or "{}")
    assert figures["20ms.v2.closed.32.rate"]["values"], told
    assert figures["relay.added"]["values"]
    # An order is shown after a round trip of the API, one of the worker to Redis, and some to PostgreSQL.
    assert figures["20ms.v2.alone.200.shown.p50"]["middle"] > 40_000


@pytest.mark.slow
def test_what_engineers_write_instead_is_measured_beside_it(bench: Bench) -> None:
    bench.env["COFFEE_PIPELINES"] = "v1,v2"
    said, told = bench.start("--peers", "--json").communicate()
    figures = json.loads(said or "{}")
    for name in (
        *("v1.ratio.closed.32.rate", "v2.ratio.closed.32.rate", "peer-stream.drain.whole"),
        *("peer-stream.kill.twice", "peer-stream.kill.lost"),
    ):
        assert len(figures[name]["values"]) == 1, told
    # Ours is exact; what of theirs is counted twice depends on where the kill meets it.
    assert figures["v2.kill.twice"]["values"] == figures["v2.kill.lost"]["values"] == [0], told
