"""What a reader sees of a balance: the sentence, the fields that differ, the JSON that the docs describe."""

import json
from dataclasses import replace
from pathlib import Path

from backend.pipelines.balance import Balance, IdComparison, as_json, as_table, details, summary_line
from backend.pipelines.v1_direct.audit import balance_v1
from backend.pipelines.v2_streams.audit import StreamCounts, balance_v2
from coffee_core.standstill import Standstill
from coffee_core.totals import Totals

ROWS = Totals.of_groups([("latte", "uptown", 2, 1_000), ("americano", "central", 1, 350)])
FEWER = Totals.of_groups([("latte", "uptown", 1, 500), ("americano", "central", 1, 350)])


def good() -> Balance:
    return balance_v2(StreamCounts(5, 1, 1, 0), ROWS, ROWS, Totals(), 0)


def test_a_balanced_pipeline_is_one_calm_sentence() -> None:
    assert summary_line(good()) == "v2: lost 0 · duplicated 0 · drift 0 · 1 in flight"
    assert details(good()) == []


def test_a_lost_order_is_named_with_its_price_drink_and_store() -> None:
    balance = balance_v1(ROWS, FEWER, Totals(), Totals())
    assert summary_line(balance) == "v1: lost 1 (+5.00) · duplicated 0 · drift +1 (+5.00)"
    assert details(balance) == ["drift: latte +1 (+5.00), uptown +1 (+5.00)"]


def test_a_total_that_was_touched_alone_is_named() -> None:
    shown = replace(ROWS, orders=ROWS.orders + 1)
    balance = balance_v2(StreamCounts(5, 1, 1, 0), shown, ROWS, Totals(), 0)
    assert details(balance) == ["drift: total +1 (0.00)"]
    spoilt = replace(ROWS, drink_counts={**ROWS.drink_counts, "latte": 3})
    assert details(balance_v2(StreamCounts(5, 1, 1, 0), spoilt, ROWS, Totals(), 0)) == ["drift: latte +1 (0.00)"]


def test_a_loss_that_nobody_remembers_and_a_lost_log_are_said() -> None:
    unknown = balance_v2(StreamCounts(4, 0, 0, 0), ROWS, ROWS, Totals(), 0)
    assert "lost 1 (revenue unknown)" in summary_line(unknown)
    short = balance_v2(StreamCounts(1, 0, 0, 0), ROWS, ROWS, Totals(), 0)
    assert "log lost: 2 stored orders" in summary_line(short)
    assert "lost 0 ·" in summary_line(short)


def test_a_log_that_lost_its_end_says_how_many_acknowledged_records_are_gone() -> None:
    cut_off = replace(good(), truncated=1_015)
    assert "log truncated: 1,015 acknowledged records are gone" in summary_line(cut_off)
    assert not cut_off.balanced
    assert as_json([cut_off])["pipelines"][0]["truncated"] == 1_015


def test_the_columns_of_the_table_are_aligned() -> None:
    lines = as_table([balance_v1(ROWS, ROWS, Totals(), Totals()), good()])
    assert len({len(line) for line in lines[:3]}) == 1
    assert lines[1].startswith("v1 Direct ")


def test_a_deep_finding_unbalances_and_names_ids() -> None:
    found = Balance(
        **{name: getattr(good(), name) for name in Balance.__slots__ if name != "deep"},
        deep=IdComparison(9, "all", 12, ["0:1"]),
    )
    assert not found.balanced
    assert "nowhere: 12 (0:1 …)" in details(found)
    assert summary_line(found) == "v2: lost 0 · duplicated 0 · drift 0 · 12 nowhere · 1 in flight"


def test_json_holds_what_the_docs_name() -> None:
    report = json.loads(json.dumps(as_json([good()])))
    docs = (Path(__file__).parents[4] / "docs" / "audit.md").read_text(encoding="utf-8")
    for name in report["pipelines"][0]:
        assert f"`{name}`" in docs or f"`pipelines[].{name}`" in docs, name
    assert report["balanced"] is True
    assert report["pipelines"][0]["lost"]["orders"] == 0


def test_what_is_stuck_is_named_with_its_cure_and_is_not_lost() -> None:
    found = replace(good(), deep=IdComparison(9, "all", stuck=2, stuck_ids=["1-0", "1-1"]))
    assert found.balanced
    assert "stuck, in the stream and pending nowhere (`coffee replay v2`): 2 (1-0, 1-1)" in details(found)


def test_what_waits_is_said_and_is_balanced_all_the_same() -> None:
    waits = replace(good(), standstill=Standstill("nobody reads", "start stream-worker"))
    assert waits.balanced
    assert details(waits) == ["waits: nobody reads – start stream-worker"]
    assert as_json([waits])["pipelines"][0]["standstill"] == {
        "reason": "nobody reads",
        "cure": "start stream-worker",
    }
