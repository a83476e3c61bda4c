"""``coffee decide`` by a report that is there: what it asks, prints and writes."""

import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from backend.cli.main import coffee
from backend.lab.bench.report import write
from tests.unit.backend.lab.bench.made import result


@pytest.fixture
def report(tmp_path: Path) -> Path:
    """The made-up report in a folder."""
    write(result(), tmp_path, [])
    return tmp_path


def call(report: Path, *words: str, typed: str | None = None) -> Result:
    """Call it; the page is beside the report."""
    page = str(report / "page.html")
    return CliRunner().invoke(
        coffee, ["decide", "--report", str(report), "--html", page, *words], input=typed, catch_exceptions=False
    )


def test_a_script_is_asked_nothing_and_gets_json(report: Path) -> None:
    done = call(report, "--yes", "--json", "--now", "20", "--peak", "1000", "--late", "40", "--loss", "seconds")
    told = json.loads(done.stdout)
    assert done.exit_code == 0
    assert told["schema"] == "coffee-decide/1"
    assert (told["pick"], told["too_close_to_call"]) == ("v3", [])
    assert told["question"]["runs"] == ["postgres", "redis"]
    assert told["candidates"][2]["new_servers"] == ["kafka", "flink"]
    assert told["report"]["facts"]["machine"]["cores"] == 2
    page = (report / "page.html").read_text(encoding="utf-8")
    for sentence in told["sentences"]:
        assert sentence.split(":")[0].replace("&", "&amp;") in page


def test_a_person_is_asked_what_was_not_given(report: Path) -> None:
    done = call(report, "--late", "40", typed="20\n1000\nseconds\n\nkafka, flink,postgres,redis\n\n0.01\n")
    assert done.exit_code == 0
    assert done.stdout.startswith("Take v3 (Kafka + Flink): at 1,000 orders/s 99 of 100")
    assert done.stdout.rstrip().endswith(f"What it rests on: {report / 'page.html'}")
    assert "99 of 100 must be" not in done.stderr, "that was given"
    page = (report / "page.html").read_text(encoding="utf-8")
    assert "--now 20 --peak 1000 --late 40 --loss seconds --round-trip 0 --runs flink,kafka,postgres,redis" in page
    links = set(re.findall(r'href="#([^"]+)"', page))
    assert links - {"content"} <= set(re.findall(r' id="([^"]+)"', page)), "every sentence leads to a part of it"


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (("--now", "20", "--peak", "10"), "--peak 10 is below --now 20"),
        (("--runs", "postgres,oracle"), "oracle: choose from postgres, redis, kafka, flink or none"),
        (("--again",), "choose one"),
        (("--pipelines", "v5"), "nothing of these pipelines was measured"),
    ],
)
def test_what_cannot_be_decided_is_refused(report: Path, words: tuple[str, ...], complaint: str) -> None:
    done = call(report, "--yes", *words)
    assert done.exit_code == 2
    assert complaint in " ".join(done.stderr.split())
    assert not (report / "page.html").exists()
