"""The blocks of a column: the audit line, what waits and what it costs, the chart; and what there is room for."""

from dataclasses import replace

import pytest
from rich.text import Text

from coffee_core.pipelines.constants import V1, V2, V3
from coffee_core.runstate import Cost
from coffee_core.totals import PipelineCounts
from coffee_tui.data.readings import ReadingError, parse_lab
from coffee_tui.data.snapshot import CostView, Health, Mood, Stage, StatusLine
from coffee_tui.data.state import own_cost, shared_costs, waiting, with_links
from coffee_tui.data.status_line import status_line
from coffee_tui.screens.live import layout_for
from coffee_tui.theme import PALETTES, styles
from coffee_tui.widgets.charts import LatencyChart, braille, glyph
from coffee_tui.widgets.column import Audit, Rates, Status, cost_text, dropped_text, shared_costs_text
from coffee_tui.widgets.format import compact, count, memory
from coffee_tui.widgets.rows import Shared, changes
from tests.unit.coffee_tui.scripted import column
from tests.unit.coffee_tui.test_status_line import GOOD

FRAMED = Shared()
FINE = PipelineCounts(12_396, 12_391, 12_391, 0, 3, 2, 0, 0, 0)


def _rows(counts: PipelineCounts | None, width: int, shared: Shared = FRAMED) -> list[str]:
    view = replace(column(V2), counts=counts, cost=CostView("worker", 9, 61))
    return [row.plain for row in Audit().rows(view, width, shared)]


@pytest.mark.parametrize("width", [31, 36, 48, 76])
def test_the_audit_line_fits_and_its_numbers_stand_below_their_names(width: int) -> None:
    head, numbers, verdict = _rows(FINE, width)
    assert len(head) == len(numbers) == width
    assert len(verdict) <= width
    assert numbers.split() == ["12,396", "12,391", "12,391", "0"]
    assert head.index("stored") + len("stored") == numbers.index("12,391") + len("12,391")
    assert verdict.startswith("✓ lost 0")


def test_what_is_wrong_is_shown_by_glyph_number_and_sentence() -> None:
    for counts, words, text in (
        (replace(FINE, lost=3), "lost 3", "3 lost"),
        (replace(FINE, duplicated=2), "duplicated 2", "2 rows beyond the log"),
        (replace(FINE, drift=-7), "drift -7", "drift -7"),
    ):
        verdict = _rows(counts, 48)[2]
        assert verdict.startswith("×")
        assert words in verdict
        line = status_line(replace(GOOD, counts=counts))
        assert line.mood is Mood.BROKEN
        assert text in line.text


def test_what_nobody_knows_is_a_dash() -> None:
    _, numbers, verdict = _rows(None, 48)
    assert numbers.split() == ["—"] * 4
    assert verdict == "· lost — · duplicated — · drift —"
    assert _rows(replace(FINE, accepted=None, in_flight=None), 48)[1].split() == ["—", "12,391", "12,391", "—"]


@pytest.mark.parametrize("width", [32, 48])
@pytest.mark.parametrize("age_s", [3, 119, 7_199])
@pytest.mark.parametrize("counts", [FINE, None, replace(FINE, lost=1_234_567, drift=-1_234_567)])
def test_the_age_of_the_counts_is_never_cut(width: int, age_s: int, counts: PipelineCounts | None) -> None:
    view = replace(column(V2), counts=counts, counts_age_s=age_s, cost=CostView("worker", 9, 61))
    for shared in (FRAMED, replace(FRAMED, alone=True)):
        verdict = Audit().rows(view, width, shared)[2].plain
        assert verdict.endswith({3: " 3 s ago", 119: " 119 s ago", 7_199: " 119 min ago"}[age_s])
        assert len(verdict) == width


def test_repeats_and_dead_letters_stand_below_the_sentence() -> None:
    assert dropped_text(FINE, 40) == "3 repeats · 2 dead letters"
    assert dropped_text(replace(FINE, duplicates_dropped=1, dead_letters=0), 40) == "1 repeat"
    assert [row.plain for row in Status().rows(replace(column(V2), counts=FINE), 40, Shared())][1] == (
        "  3 repeats · 2 dead letters"
    )


WAITS = StatusLine(
    "no checkpoint can be read: RocksDBException: Sst file size mismatch",
    Mood.BROKEN,
    "`coffee replay v3` counts anew",
)


@pytest.mark.parametrize(
    ("gaps", "width", "expected"),
    [
        (0, 40, ["× no checkpoint can be read: RocksDBExc…", "→ `coffee replay v3` counts anew"]),
        (
            5,
            40,
            [
                "× no checkpoint can be read:",
                "  RocksDBException: Sst file size misma…",
                "→ `coffee replay v3` counts anew",
            ],
        ),
        (
            1,
            90,
            [
                "× no checkpoint can be read: RocksDBException: Sst file size mismatch",
                "→ `coffee replay v3` counts anew",
            ],
        ),
        (2, 20, ["× no checkpoint can", "  be read: RocksDBE…", "→ `coffee replay v3`", "  counts anew"]),
    ],
)
def test_a_standstill_and_its_cure_fit_any_width(gaps: int, width: int, expected: list[str]) -> None:
    rows = Status().rows(replace(column(V3), status_line=WAITS), width, Shared(gaps=gaps))
    assert [row.plain for row in rows] == expected
    assert all(row.cell_len <= width for row in rows)


def test_costs_are_the_pipelines_own_and_what_all_share() -> None:
    costs = {
        "kafka": Cost(0.1, 400_000_000),
        "flink-jobmanager": Cost(0.2, 700_000_000),
        "postgres": Cost(None, 120_000_000),
        "cafe-order-api": Cost(0.123, 84_000_000),
    }
    assert own_cost(V3, costs) == CostView("Kafka + Flink", 30, 1_100)
    assert own_cost(V1, costs) is None
    assert cost_text(own_cost(V3, costs)) == "Kafka + Flink cpu 30 % · 1.1 GB"
    assert cost_text(None) == "cost not known here"
    assert shared_costs_text(shared_costs(costs)) == "shared: api 12 % 84 MB · postgres — % 120 MB"
    assert shared_costs_text(()) == ""


def test_the_cost_stands_inside_where_there_is_no_frame() -> None:
    assert _rows(FINE, 58, Shared(alone=True))[2].endswith("cpu 9 % · 61 MB")


def test_every_link_has_a_rate_and_the_processor_its_queue() -> None:
    stages = [Stage(label, Health.GOOD) for label in "abcd"]
    linked = with_links(stages, (204.0, 200.0, 199.0), 17)
    assert [(stage.rate, stage.waiting) for stage in linked] == [(204, None), (200, 17), (199, None), (None, None)]
    assert waiting(V2, None, {V2: 5}) == 5
    assert waiting(V3, replace(FINE, in_flight=9), {V2: 5}) == 9
    assert waiting(V3, None, {V2: 5}) is None


def test_numbers_in_few_cells() -> None:
    assert [compact(one) for one in (0, 9_999, 12_345, 123_456, 4_100_000)] == [
        "0",
        "9,999",
        "12.3k",
        "123k",
        "4.1M",
    ]
    assert (count(12_391, 8), count(12_391, 6), count(None, 4)) == ("  12,391", " 12.4k", "   —")
    assert (memory(61), memory(1_100)) == ("61 MB", "1.1 GB")


def test_braille_joins_neighbours_and_leaves_gaps() -> None:
    assert "".join(map(glyph, braille([0.0, 1.0], 1, 1)[0])) == "⡸"
    assert "".join(map(glyph, braille([None, None, 0.0, 0.0], 2, 1)[0])) == " ⣀"
    assert braille([], 2, 2) == [[0, 0], [0, 0]]


def test_the_chart_has_the_rows_it_was_given_and_labels_its_scale() -> None:
    rows = LatencyChart().rows(column(V1), 60, Shared(chart_rows=12))
    assert len(rows) == 12
    assert {len(row.plain) for row in rows[1:]} == {60}
    text = "\n".join(row.plain for row in rows)
    assert all(label in text for label in ("60 s", "1 s", "10 ms", "0.1 ms"))
    assert LatencyChart().rows(column(V1), 60, Shared()) == []


def test_the_time_of_the_chart_has_the_faults() -> None:
    fault_marks = (*(False,) * 50, *(True,) * 10)
    rows = LatencyChart().rows(column(V1), 60, Shared(chart_rows=12, fault_marks=fault_marks))
    assert rows[-1].plain.endswith("  ×░now")


@pytest.mark.parametrize(("width", "cells"), [(31, 9), (36, 14), (44, 16), (66, 38)])
def test_sparklines_have_the_room_that_labels_and_figures_leave(width: int, cells: int) -> None:
    view = replace(column(V1), rate=12_345.0)
    rate, heading, api, dashboard = (row.plain for row in Rates().rows(view, width, Shared(top_rate=20_000)))
    assert {len(row) for row in (rate, heading, api, dashboard)} == {width}
    assert dashboard.count("▃") == cells, "as many seconds as there are cells"
    assert rate.split()[-2:] == ["12.3k/s" if width < 44 else "12,345/s", "≤20.0k"]
    assert "0.1 ms–60 s" in heading


def test_a_chart_takes_the_room_of_the_latencies_sparklines() -> None:
    rows = Rates().rows(column(V1), 66, Shared(top_rate=200, spark_rows=3, chart_rows=12))
    assert len(rows) == 3 + 1 + 1 + 1


def test_old_rows_are_grey_and_rows_are_made_again_only_where_they_changed() -> None:
    block, view = Audit(), replace(column(V2), counts=FINE)
    first = block.cached_rows(view, 48, Shared())
    assert block.cached_rows(view, 48, Shared(top_count=9)) is first
    old = block.cached_rows(view, 48, Shared(silent=frozenset({"api"})))
    assert {str(row.style) for row in old} == {"$c-dim"}
    assert not any(row.spans for row in old)


def test_only_the_cells_that_differ_are_drawn_again() -> None:
    before = [Text("orders 12,406", "$c-text"), Text("same")]
    assert list(changes(before, list(before), 20, 2)) == []
    (region,) = changes(before, [Text("orders 12,419", "$c-text"), Text("same")], 20, 2)
    assert (region.x, region.y, region.width, region.height) == (11, 0, 2, 1)
    (region,) = changes(before, [before[0], Text("same", "$c-red")], 20, 2)
    assert (region.x, region.width) == (0, 20)


def test_a_terminal_is_shared_out() -> None:
    smallest, usual, tall = layout_for(60, 20), layout_for(120, 40), layout_for(380, 100)
    assert (smallest.alone, smallest.band, smallest.framed) == (True, False, False)
    assert (layout_for(80, 24).alone, layout_for(80, 24).band) == (True, True)
    assert (usual.alone, usual.band, usual.framed, usual.gaps, usual.chart_rows) == (False, True, True, 5, 0)
    assert tall.chart_rows > 30
    assert layout_for(30, 5).alone


def test_every_palette_names_the_same_colours() -> None:
    names = [set(palette) for palette in PALETTES.values()]
    assert all(one == names[0] for one in names)
    for name in PALETTES:
        found = styles(name).styles
        assert found["bold $c-ground on $c-slot-0"].bold
        plain = styles(name, plain=True).styles
        assert plain["$c-red"] == plain["$c-amber"] == found["$c-text"], "without colours as strong as text"
    assert styles("another").styles["$c-slot-0"] == styles("dark").styles["$c-slot-0"]


def _brightness(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (one / 12.92 if one <= 0.03928 else ((one + 0.055) / 1.055) ** 2.4 for one in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("name", ["dark", "light"])
def test_everything_that_is_read_stands_out_from_its_ground(name: str) -> None:
    palette = PALETTES[name]
    for ink in ("text", "grey", "red", "amber", "well", "dim", *(f"slot-{slot}" for slot in range(5))):
        for ground in ("ground", "raised"):
            pair = sorted((_brightness(palette[f"$c-{ink}"]), _brightness(palette[f"$c-{ground}"])))
            contrast = (pair[1] + 0.05) / (pair[0] + 0.05)
            assert contrast >= (3.0 if ink == "dim" else 4.5), (ink, ground, round(contrast, 2))


def test_an_api_may_tell_of_counts_and_costs_or_not() -> None:
    raw: dict[str, object] = {
        "uptime_s": 1,
        "ready": {},
        "dependencies": {},
        "api_latency": {},
        "answers": {},
        "parts": [],
    }
    assert not parse_lab(raw).counts
    reading = parse_lab(
        {
            **raw,
            "accounts": {"v2": FINE.as_json()},
            "costs": {"kafka": {"cores": None, "memory_bytes": 5}},
        }
    )
    assert reading.counts == {"v2": FINE}
    assert reading.costs == {"kafka": Cost(None, 5)}
    assert reading.counts_age_s == 0
    assert parse_lab({**raw, "accounts_age_s": 14.5}).counts_age_s == 14.5
    assert parse_lab({**raw, "accounts_age_s": None}).counts_age_s == 0
    with pytest.raises(ReadingError):
        parse_lab({**raw, "accounts": {"v2": {"lost": 1}}})
