"""The second judge: of a run in order it finds nothing, and each thing that is wrong under its name alone."""

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from backend.cli.chaos import chaos_command
from backend.lab.recheck import recheck as judge
from backend.lab.recheck.recheck import NoEvidenceError, recheck

Line = dict[str, Any]
DRINKS, STORES = ("latte", "americano"), ("uptown", "central")
BEFORE = 10


class Run:
    """A run of v2 as evidence holds it: an order every 100 ms, answered after 10 ms and shown after 50."""

    def __init__(self, orders: int = 8) -> None:
        self.history = [_request(number) for number in range(orders)]
        self.rows = [_row(request) for request in self.history]
        self.shown = [
            {
                "pipeline": "v2",
                "asked_us": number * 100_000 + 45_000,
                "read_us": number * 100_000 + 50_000,
                **self.totals(number),
            }
            for number in range(1, orders + 1)
        ]
        self.settled = [{"pipeline": "v2", **self.totals(orders)}]
        self.faults: list[Line] = []
        self.about = {"schema": 1, "pipelines": ["v2"], "shown_before": {"v2": self.totals(0)}}

    def totals(self, orders: int) -> Line:
        """Return what is shown once the first ``orders`` are; ten lattes uptown were there before."""
        rows = [("latte", "uptown", 500)] * BEFORE
        rows += [(row["drink"], row["store"], row["price_cents"]) for row in self.history[:orders]]

        def by(place: int, names: tuple[str, ...], amount: Callable[[int], int]) -> dict[str, int]:
            return {name: sum(amount(row[2]) for row in rows if row[place] == name) for name in names}

        return {
            "orders": len(rows),
            "revenue_cents": sum(row[2] for row in rows),
            "drink_counts": by(0, DRINKS, lambda _: 1),
            "drink_revenue_cents": by(0, DRINKS, lambda cents: cents),
            "store_counts": by(1, STORES, lambda _: 1),
            "store_revenue_cents": by(1, STORES, lambda cents: cents),
        }

    def write(self, folder: Path) -> Path:
        for name in ("history", "rows", "shown", "settled", "faults"):
            with gzip.open(folder / f"{name}.jsonl.gz", "wt", encoding="utf-8") as file:
                file.writelines(json.dumps(line) + "\n" for line in getattr(self, name))
        (folder / "about.json").write_text(json.dumps(self.about), encoding="utf-8")
        (folder / "verdict.json").write_text(json.dumps({"cells": []}), encoding="utf-8")
        return folder


def _request(number: int) -> Line:
    key = f"00000000-0000-4000-8000-{number:012}"
    return {
        "pipeline": "v2",
        "kind": "new",
        "key": key,
        "ordered_at_us": 1_700_000_000_000_000 + number,
        "drink": DRINKS[number % 2],
        "store": STORES[number // 2 % 2],
        "price_cents": 400 + 25 * number,
        "sent_us": (number + 1) * 100_000,
        "answered_us": (number + 1) * 100_000 + 10_000,
        "outcome": "acknowledged",
        "message_id": key,
    }


def _row(request: Line) -> Line:
    kept = ("pipeline", "ordered_at_us", "drink", "store", "price_cents")
    return {name: request[name] for name in kept} | {"message_id": request["key"]}


def _lose(run: Run) -> None:
    del run.rows[3]
    # The totals know nothing of it either: the row is the only witness.
    run.settled = [{"pipeline": "v2", **_without(run.totals(8), run.history[3])}]
    run.shown = run.shown[:3]


def _without(totals: Line, request: Line) -> Line:
    totals["orders"] -= 1
    totals["revenue_cents"] -= request["price_cents"]
    for what in ("drink", "store"):
        totals[f"{what}_counts"][request[what]] -= 1
        totals[f"{what}_revenue_cents"][request[what]] -= request["price_cents"]
    return totals


def _store_twice(run: Run) -> None:
    again = run.history[2]
    run.rows.append(run.rows[2] | {"message_id": "another"})
    # Without a key the client cannot tell which of the two is its own.
    again |= {"key": None, "outcome": "unknown", "message_id": None}
    for what in ("drink", "store"):
        run.settled[0][f"{what}_counts"][again[what]] += 1
        run.settled[0][f"{what}_revenue_cents"][again[what]] += again["price_cents"]
    run.settled[0]["orders"] += 1
    run.settled[0]["revenue_cents"] += again["price_cents"]


def _store_refused(run: Run) -> None:
    run.history[4] |= {"outcome": "refused", "message_id": None}


def _store_otherwise(run: Run) -> None:
    run.rows[5]["message_id"] = "another"


def _accept_malformed(run: Run) -> None:
    run.history.append(_request(20) | {"kind": "malformed"})


def _drift(run: Run) -> None:
    run.settled[0]["store_revenue_cents"]["central"] += 5


def _go_back(run: Run) -> None:
    # In two seconds a restart may have been: the step itself proves nothing, that it goes back does.
    run.shown.append({"pipeline": "v2", "asked_us": 2_800_000, "read_us": 2_900_000, **run.totals(6)})


def _count_without_its_cents(run: Run) -> None:
    request = run.history[4]
    for seen in run.shown[4:]:
        seen["revenue_cents"] -= request["price_cents"]
        for what in ("drink", "store"):
            seen[f"{what}_revenue_cents"][request[what]] -= request["price_cents"]


def _show_half(run: Run) -> None:
    run.shown[3]["store_counts"]["uptown"] -= 1


def _show_too_early(run: Run) -> None:
    run.history[1]["sent_us"] = 1_000_000


CASES = {
    judge.LOST: (_lose,),
    judge.DUPLICATED: (_store_twice,),
    judge.UNEXPLAINED: (_store_refused, _store_otherwise, _accept_malformed),
    judge.DRIFT: (_drift,),
    judge.WENT_BACK: (_go_back,),
    judge.NOT_WHOLE: (_count_without_its_cents,),
    judge.DISAGREE: (_show_half,),
    judge.TOO_EARLY: (_show_too_early,),
}


def test_every_kind_has_a_case() -> None:
    assert tuple(CASES) == judge.KINDS


def test_a_run_in_order_is_exact(tmp_path: Path) -> None:
    (judged,) = recheck(Run().write(tmp_path))
    assert judged.findings == []
    assert (judged.attempted, judged.accepted, judged.stored, judged.observations) == (8, 8, 8, 8)


@pytest.mark.parametrize(
    ("kind", "spoil"), [(kind, spoil) for kind, several in CASES.items() for spoil in several]
)
def test_what_is_wrong_is_found_under_its_name(tmp_path: Path, kind: str, spoil: Callable[[Run], None]) -> None:
    run = Run()
    spoil(run)
    (judged,) = recheck(run.write(tmp_path))
    assert [found.kind for found in judged.findings] == [kind], judged
    assert judged.findings[0].examples


def test_a_repeat_whose_first_answer_is_unknown_is_one_order(tmp_path: Path) -> None:
    run = Run()
    again = run.history[2] | {"kind": "repeat", "sent_us": 900_000, "answered_us": 910_000}
    run.history[2] |= {"outcome": "unknown", "message_id": None}
    run.history.append(again)
    (judged,) = recheck(run.write(tmp_path))
    assert judged.findings == []
    assert judged.attempted == 8


def test_an_order_that_may_be_nowhere_may_be_missing(tmp_path: Path) -> None:
    run = Run()
    run.history[7] |= {"outcome": "unknown", "message_id": None}
    del run.rows[7]
    run.settled, run.shown = [{"pipeline": "v2", **run.totals(7)}], run.shown[:7]
    (judged,) = recheck(run.write(tmp_path))
    assert judged.findings == []


@pytest.mark.parametrize("moments", [{"struck": 2_000_000}, {"begun": 2_000_000, "struck": 3_000_000}])
def test_what_a_fault_takes_back_on_purpose_is_no_finding(tmp_path: Path, moments: dict[str, int]) -> None:
    run = Run()
    _go_back(run)
    run.faults = [
        {"at_us": at_us, "fault": "flush-metrics", "moment": moment, "resets": ["v2"]}
        for moment, at_us in moments.items()
    ]
    (judged,) = recheck(run.write(tmp_path))
    assert judged.findings == []
    run.faults = [each | {"resets": ["v1"]} for each in run.faults]
    (judged,) = recheck(run.write(tmp_path))
    assert [found.kind for found in judged.findings] == [judge.WENT_BACK]


def test_the_command_says_what_it_found(tmp_path: Path) -> None:
    run = Run()

    def check(*options: str) -> Result:
        return CliRunner().invoke(chaos_command, ["--check", str(run.write(tmp_path)), *options])

    assert (check().exit_code, check().output) == (
        0,
        "v2: 8 of 8 orders acknowledged, 8 stored, 8 totals seen: nothing is wrong\n",
    )
    _show_half(run)
    assert check().exit_code == 1
    found = "drinks that do not add up to stores: 1: at 0.450 s: orders 14, by drink 14, by store 13"
    assert check().output.endswith(f"8 totals seen: NOT EXACT\n    {found}\n")
    report = json.loads(check("--json").output)
    assert not report["exact"]
    assert report["pipelines"][0]["findings"][0]["count"] == 1
    assert check("--all").exit_code == 2


def _no_verdict(folder: Path) -> None:
    (folder / "verdict.json").unlink()


def _other_schema(folder: Path) -> None:
    (folder / "about.json").write_text('{"schema": 2}', encoding="utf-8")


def _cut_off(folder: Path) -> None:
    path = folder / "history.jsonl.gz"
    path.write_bytes(path.read_bytes()[:-20])


def _no_end(folder: Path) -> None:
    (folder / "settled.jsonl.gz").unlink()


def _nothing(folder: Path) -> None:
    (folder / "about.json").unlink()


def _no_history(folder: Path) -> None:
    (folder / "history.jsonl.gz").unlink()


def _not_watched(folder: Path) -> None:
    (folder / "shown.jsonl.gz").unlink()


@pytest.mark.parametrize(
    "spoil", [_no_verdict, _other_schema, _cut_off, _no_end, _nothing, _no_history, _not_watched]
)
def test_what_cannot_be_judged_is_not(tmp_path: Path, spoil: Callable[[Path], None]) -> None:
    folder = Run().write(tmp_path)
    spoil(folder)
    with pytest.raises(NoEvidenceError, match=str(tmp_path)):
        recheck(folder)
