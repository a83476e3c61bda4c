"""What a run leaves behind: all of it, for its owner alone, judged again as it was, no more than is allowed."""

import stat
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import pytest

from backend.lab.chaos.comparison import Row
from backend.lab.chaos.evidence import Evidence, Shelf, lines
from backend.lab.chaos.faults import FAULTS
from backend.lab.recheck.recheck import recheck
from coffee_core.clock import now_us
from coffee_core.errors import CoffeeError
from coffee_core.load.orders import Kind, RandomOrders
from coffee_core.load.statistics import Answer, Outcome
from coffee_core.pipelines.constants import V2, V3
from coffee_core.settings import Settings
from coffee_core.totals import Totals

FILES = ("faults.jsonl.gz", "history.jsonl.gz", "rows.jsonl.gz", "settled.jsonl.gz", "shown.jsonl.gz")
PICTURES = ("lag.svg", "totals.svg", "way.svg")


def test_a_run_is_kept_and_judged_again(tmp_path: Path) -> None:
    orders = RandomOrders(seed=1)
    attempts = [attempt for attempt in (orders.next(V2) for _ in range(20)) if attempt.kind is Kind.NEW]
    shelf = Shelf(tmp_path / "evidence", 1_000_000, "coffee chaos kill-redis")
    with Evidence(shelf, "kill-redis") as evidence:
        evidence.describe(10, {V2: Totals()})
        rows, groups = [], []
        for attempt in attempts:
            key = attempt.key or uuid4()
            answer = Answer(attempt, Outcome.ACKNOWLEDGED, 202, str(key), "", 1, evidence._begun_s + 0.001)
            evidence.request(answer, evidence._begun_s + 0.002)
            content = (attempt.drink, attempt.store, attempt.price_cents)
            rows.append(Row(key, *content, attempt.ordered_at_us, now_us(), now_us(), "1-0"))
            groups.append((attempt.drink, attempt.store, 1, attempt.price_cents))
            evidence.shown(V2, Totals.of_groups(groups), evidence._begun_s + 0.003, evidence._begun_s + 0.004)
        evidence.fault(FAULTS["kill-redis"], "struck", "killed")
        evidence.fault(FAULTS["kill-redis"], "over", "killed redis")
        evidence.rows(V2, rows, Totals.of_groups(groups))
        evidence.conclude([{"fault": "kill-redis"}])
    assert evidence.folder is not None
    names = sorted(path.name for path in evidence.folder.iterdir())
    assert names == sorted([*FILES, *PICTURES, "about.json", "verdict.json"])
    for path in (shelf.folder, evidence.folder, *evidence.folder.iterdir()):
        assert not stat.S_IMODE(path.stat().st_mode) & 0o077, path
    (judged,) = recheck(evidence.folder)
    assert judged.findings == []
    assert judged.accepted == judged.stored == judged.observations == len(attempts) > 10
    request = lines(evidence.folder, "history")[0]
    assert 1_000 == request["intended_us"] < request["sent_us"] == 2_000
    assert "kill-redis" in (evidence.folder / "totals.svg").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("name", "resets"), [("kill-redis", []), ("replay-v3", [V3]), ("replay-v2", []), ("flush-metrics", [V2, V3])]
)
def test_only_what_takes_totals_back_excuses_it(tmp_path: Path, name: str, resets: list[str]) -> None:
    with Evidence(Shelf(tmp_path, 1, ""), name) as evidence:
        evidence.fault(FAULTS[name], "struck", "")
    assert evidence.folder is not None
    kept = lines(evidence.folder, "faults")[0]["resets"]
    assert [pipeline for pipeline in kept if pipeline in (V2, V3)] == resets


def test_the_oldest_goes_first_and_the_newest_stays(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path, 2_500, "")
    folders = [shelf.new(name) for name in ("kill redis", "a", "b")]
    for folder in folders:
        (folder / "history.jsonl.gz").write_bytes(b"x" * 1_000)
    shelf.make_room()
    assert sorted(tmp_path.iterdir()) == folders[1:]
    replace(shelf, most_bytes=1, spared=frozenset(folders[1:2])).make_room()
    assert sorted(tmp_path.iterdir()) == folders[1:]
    replace(shelf, most_bytes=1).make_room()
    assert sorted(tmp_path.iterdir()) == folders[2:]


def test_nothing_is_kept_where_nothing_is_asked_for(tmp_path: Path) -> None:
    settings = Settings.from_env({"COFFEE_HOME": str(tmp_path), "COFFEE_EVIDENCE_MB": "0"})
    assert Shelf.of(settings) is None
    with Evidence(None, "kill-redis") as evidence:
        evidence.describe(1, {V2: Totals()})
        evidence.fault(FAULTS["kill-redis"], "struck", "")
        evidence.conclude([])
    assert evidence.folder is None
    assert not list(tmp_path.iterdir())


def test_a_shelf_that_cannot_be_is_told(tmp_path: Path) -> None:
    (tmp_path / "evidence").write_text("a file", encoding="utf-8")
    with pytest.raises(CoffeeError, match=r"cannot be kept in .*: File exists: COFFEE_EVIDENCE_MB=0 keeps none"):
        Shelf(tmp_path / "evidence", 1, "").new("kill-redis")
