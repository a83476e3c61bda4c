import json
import re
from importlib.resources import files
from uuid import UUID

import pytest

from coffee_core.clock import MAX_TIME_US
from coffee_core.menu import DRINKS, MAX_PRICE_CENTS, STORES
from coffee_core.order import Order
from coffee_core.pipelines.constants import V3
from coffee_core.settings import Settings
from coffee_core.windows import LATE_AFTER_S, WINDOW_S
from flink.statements import (
    DEFINITIONS,
    FIELD_PATTERN,
    INSERTS,
    canonical_pattern,
    statement,
    tally_columns,
    values,
)

ORDER = Order(UUID("0190f5fe-7c1e-7abc-8def-0123456789ab"), "latte", "uptown", 450, 1_736_935_200_000_000, 5)
CANONICAL = re.compile(canonical_pattern().replace(r"\z", r"\Z"))


def record(**changes: object) -> str:
    return json.dumps({**ORDER.to_fields(), **changes}, separators=(",", ":"))


@pytest.mark.parametrize("separators", [(",", ":"), (", ", ": ")])
def test_what_the_api_writes_is_known_and_taken_apart_by_a_regular_expression_each(
    separators: tuple[str, str],
) -> None:
    text = json.dumps(ORDER.to_fields(), separators=separators)
    assert CANONICAL.fullmatch(text)
    assert re.findall(FIELD_PATTERN, text) == [str(value) for value in ORDER.to_fields().values()]


@pytest.mark.parametrize("cents", [1, 9, 10, 999_999, MAX_PRICE_CENTS])
def test_every_price_of_the_table_is_canonical(cents: int) -> None:
    assert CANONICAL.fullmatch(record(price_cents=cents))


@pytest.mark.parametrize(
    "text",
    [
        record(price_cents=0),
        record(price_cents=MAX_PRICE_CENTS + 1),
        record(price_cents=-1),
        record(price_cents=4.5),
        record(price_cents="450"),
        record(drink="tea"),
        record(store="nowhere"),
        record(message_id="0190F5FE-7C1E-7ABC-8DEF-0123456789AB"),
        record(message_id="0190f5fe7c1e7abc8def0123456789ab"),
        record(ordered_at_us=-1),
        record(ordered_at_us=MAX_TIME_US + 1),
        record(extra=1),
        record() + "\n",
        record() + "x",
        record()[:-1],
        "x" + record(),
    ],
)
def test_anything_else_is_left_to_the_slow_way(text: str) -> None:
    assert CANONICAL.search(text) is None


def test_the_tally_has_two_columns_for_everything_on_the_menu_in_the_order_of_the_redis_function() -> None:
    names = list(tally_columns(2))
    menu = [f"drink_{drink}" for drink in DRINKS] + [f"store_{store}" for store in STORES]
    cells = [f"{item}_{kind}" for item in menu for kind in ("orders", "cents")]
    late = [f"late_{store}_{kind}" for store in STORES for kind in ("orders", "cents")]
    counters = ["accepted_us", "valid_records", "dead_records"]
    assert names == ["orders", "revenue", *cells, *counters, *late, "reached_0", "reached_1"]


@pytest.mark.parametrize("name", [*DEFINITIONS, *INSERTS])
def test_every_statement_is_filled_in(name: str) -> None:
    text = statement(name, values(Settings.from_env({})))
    assert not re.search(r"\{[a-z_]+\}", text)


def test_a_quote_in_a_value_cannot_end_its_literal() -> None:
    settings = Settings.from_env({"DATABASE_URL": "postgresql://o'hara:it's@db/coffee"})
    text = statement("stored_orders", values(settings))
    assert "'username' = 'o''hara'" in text
    assert "'password' = 'it''s'" in text


def test_the_dead_letter_reasons_carry_the_bounds_of_the_table() -> None:
    text = statement("validated_orders", values(Settings.from_env({})))
    assert f"NOT BETWEEN 1 AND {MAX_PRICE_CENTS}" in text
    assert text.count(f"> {MAX_TIME_US}") == 2
    assert all(f"'{name}'" in text for name in (*DRINKS, *STORES))


def test_an_id_is_remembered_once_for_repeats_and_conflicts() -> None:
    texts = {name: statement(name, values(Settings.from_env({}))) for name in (*DEFINITIONS, *INSERTS)}
    assert [name for name, text in texts.items() if "PARTITION BY" in text] == ["deduplicated_records"]
    readers = ("first_orders", "dead_letter_conflicts", "windowed_records")
    assert all("FROM deduplicated_records" in texts[name] for name in readers)
    assert all("FROM windowed_records" in texts[name] for name in ("counted", "windows"))


def test_no_two_inserts_share_a_table() -> None:
    texts = [statement(name, values(Settings.from_env({}))) for name in INSERTS]
    assert len({table for text in texts for table in re.findall(r"INSERT INTO (\w+)", text)}) == len(INSERTS)


def test_rows_go_straight_into_the_partition_whose_trigger_keeps_the_first() -> None:
    schema = (files("backend.db") / "sql" / "0001_orders.sql").read_text()
    table = re.search(r"'table-name' = '(\w+)'", statement("stored_orders", values(Settings.from_env({}))))
    assert table is not None
    assert f"create table {table[1]} partition of orders for values in ('{V3}')" in schema
    assert f"before update on {table[1]}" in schema


def test_the_windows_follow_the_rule_of_the_core() -> None:
    text = statement("windowed_records", values(Settings.from_env({})))
    assert f"MOD(event_us, {WINDOW_S} * 1000000)" in text
    assert f"accepted_at_us < (start_s + {WINDOW_S + LATE_AFTER_S}) * 1000000" in text


def test_many_partitions_share_the_columns_of_the_watermark() -> None:
    few, many = (values(Settings.from_env({"COFFEE_TOPIC_PARTITIONS": number})) for number in ("3", "256"))
    assert (few["lanes"], many["lanes"]) == ("3", "16")
    assert "reached_2" in few["arguments"]
    assert "reached_3" not in few["arguments"]
    assert "reached_15" in many["arguments"]
