"""The Lua script and its caller, against a real Valkey."""

from collections.abc import Iterator
from typing import Any

import pytest
import redis

from coffee_core.clock import now_us
from coffee_core.latency import bucket_of
from coffee_core.menu import DRINKS, STORES
from flink.redis_sink import BEHIND_S, KEYS, OLDER, OTHER_EPOCH, SHOWN, NotShownError, RedisTotals

Shown = dict[str, Any]
LANES = 4
PLACE_OF_THE_SUM = 2 + 2 * (len(DRINKS) + len(STORES))


@pytest.fixture
def client(redis_url: str) -> Iterator["redis.Redis[str]"]:
    with redis.Redis.from_url(redis_url, decode_responses=True) as client:
        client.set(KEYS.epoch, "7")
        yield client


@pytest.fixture
def sink(redis_url: str, client: "redis.Redis[str]") -> Iterator[RedisTotals]:
    sink = RedisTotals(redis_url, "7", give_up_after_s=0.2)
    yield sink
    sink.close()


def row(
    orders: int,
    *,
    late_us: int = 5_000,
    valid: int | None = None,
    dead: int = 0,
    first_us: int = 0,
    too_late: int = 0,
    reached_us: int = 0,
) -> Any:
    """The totals of so many lattes at 3.00 in uptown, all accepted ``late_us`` ago; ``first_us`` adds to the sum.

    ``too_late`` of them belong to no window; every lane of partitions has come to ``reached_us``.
    """
    cells = [orders, 300 * orders]
    drinks = [cell for drink in DRINKS for cell in (cells if drink == "latte" else [0, 0])]
    stores = [cell for store in STORES for cell in (cells if store == "uptown" else [0, 0])]
    accepted = orders * (now_us() - late_us) + first_us
    late = [cell for store in STORES for cell in ([too_late, 300 * too_late] if store == "uptown" else [0, 0])]
    counters = (str(accepted), orders if valid is None else valid, dead)
    return (orders, 300 * orders, *drinks, *stores, *counters, *late, *[reached_us] * LANES)


def shown(client: "redis.Redis[str]") -> Shown:
    strings = {key: client.get(key) for key in (KEYS.total_orders, KEYS.total_revenue)}
    hashes = (KEYS.drink_counts, KEYS.drink_revenue, KEYS.store_counts, KEYS.store_revenue)
    return {**strings, **{key: client.hgetall(key) for key in hashes}}


def of_lattes(orders: int) -> Shown:
    count, cents = str(orders), str(300 * orders)
    return {
        KEYS.total_orders: count,
        KEYS.total_revenue: cents,
        KEYS.drink_counts: {"latte": count},
        KEYS.drink_revenue: {"latte": cents},
        KEYS.store_counts: {"uptown": count},
        KEYS.store_revenue: {"uptown": cents},
    }


def counter(client: "redis.Redis[str]", name: str) -> int:
    return int(client.hget(KEYS.counters, name) or 0)


def latencies(client: "redis.Redis[str]") -> dict[int, int]:
    return {int(bucket): int(count) for bucket, count in client.hgetall(KEYS.latency).items()}


def test_a_row_shows_every_metric(client: "redis.Redis[str]", sink: RedisTotals) -> None:
    before = now_us()
    assert sink.show(row(3, valid=5, dead=2)) == SHOWN
    assert shown(client) == of_lattes(3)
    assert (counter(client, "duplicates"), counter(client, "dead"), counter(client, "refused")) == (2, 2, 0)
    assert before <= counter(client, "last_update_us") <= now_us()


def test_the_same_row_again_changes_nothing(client: "redis.Redis[str]", sink: RedisTotals) -> None:
    sink.show(row(3))
    weights = latencies(client)
    assert sink.show(row(3)) == SHOWN
    assert shown(client) == of_lattes(3)
    assert latencies(client) == weights


def test_another_epoch_is_refused_and_counted(
    client: "redis.Redis[str]", sink: RedisTotals, redis_url: str
) -> None:
    sink.show(row(3))
    client.set(KEYS.epoch, "8")
    assert sink.show(row(9)) == OTHER_EPOCH
    assert shown(client) == of_lattes(3)
    assert counter(client, "refused") == 1
    newer = RedisTotals(redis_url, "8")
    assert newer.show(row(4)) == SHOWN
    newer.close()


def test_a_missing_epoch_is_waited_for_and_then_refused(client: "redis.Redis[str]", sink: RedisTotals) -> None:
    client.delete(KEYS.epoch)
    with pytest.raises(NotShownError, match="epoch is missing"):
        sink.show(row(3))
    assert not client.exists(*KEYS.metrics, KEYS.counters)


def test_an_older_row_is_refused_and_counted(client: "redis.Redis[str]", sink: RedisTotals) -> None:
    sink.show(row(5))
    assert sink.show(row(4)) == OLDER
    assert shown(client) == of_lattes(5)
    assert counter(client, "refused") == 1
    assert sink.show(row(5)) == SHOWN


def test_a_row_of_as_many_orders_after_fewer_records_is_older(
    client: "redis.Redis[str]", sink: RedisTotals
) -> None:
    sink.show(row(5, valid=8, dead=1))
    assert sink.show(row(5, valid=7, dead=1)) == OLDER
    assert (counter(client, "duplicates"), counter(client, "dead"), counter(client, "refused")) == (3, 1, 1)
    assert sink.show(row(5, valid=8, dead=2)) == SHOWN
    # More orders are newer, whatever came before: a log may have lost its repeats.
    assert sink.show(row(6, valid=6)) == SHOWN
    assert (counter(client, "duplicates"), counter(client, "dead")) == (0, 0)


def test_what_is_too_high_is_brought_down(client: "redis.Redis[str]", sink: RedisTotals) -> None:
    sink.show(row(5))
    client.incrby(KEYS.total_revenue, 999)
    client.hincrby(KEYS.drink_counts, "latte", 40)
    client.hincrby(KEYS.store_revenue, "uptown", 1)
    assert sink.show(row(6)) == SHOWN
    assert shown(client) == of_lattes(6)


def test_flushed_metrics_come_back_whole_with_the_next_row(client: "redis.Redis[str]", sink: RedisTotals) -> None:
    sink.show(row(5))
    weights = latencies(client)
    client.delete(*KEYS.metrics)
    assert sink.show(row(6)) == SHOWN
    assert shown(client) == of_lattes(6)
    # Five of the six became visible long ago: their latency cannot be measured now.
    assert latencies(client) == weights


def test_a_flush_of_everything_heals_once_the_epoch_is_back(client: "redis.Redis[str]", sink: RedisTotals) -> None:
    sink.show(row(5))
    client.flushall()
    client.set(KEYS.epoch, "7")
    assert sink.show(row(6)) == SHOWN
    assert shown(client) == of_lattes(6)


def test_a_script_that_the_server_forgot_is_loaded_again(client: "redis.Redis[str]", sink: RedisTotals) -> None:
    sink.show(row(5))
    client.script_flush()
    assert sink.show(row(6)) == SHOWN
    assert shown(client) == of_lattes(6)


@pytest.mark.parametrize("key", KEYS.metrics)
def test_a_key_of_another_type_is_replaced(client: "redis.Redis[str]", sink: RedisTotals, key: str) -> None:
    client.rpush(key, "not", "mine")
    assert sink.show(row(2)) == SHOWN
    assert shown(client) == of_lattes(2)


def test_a_value_that_is_no_number_is_replaced(client: "redis.Redis[str]", sink: RedisTotals) -> None:
    client.set(KEYS.total_orders, "many")
    client.hset(KEYS.drink_revenue, mapping={"latte": "1.5", "tea": "9"})
    assert sink.show(row(2)) == SHOWN
    assert shown(client) == {**of_lattes(2), KEYS.drink_revenue: {"latte": "600", "tea": "9"}}


def test_latency_is_the_mean_since_the_last_row_weighted_by_its_orders(
    client: "redis.Redis[str]", sink: RedisTotals
) -> None:
    sink.show(row(1, late_us=1_000_000))
    started = now_us()
    first_sum = int(client.hget(KEYS.counters, "shown_accepted_us") or 0)
    nine_more = 9 * (now_us() - 64_000_000)
    sink.show(row(10, first_us=first_sum + nine_more - int(row(10)[PLACE_OF_THE_SUM])))
    spent = now_us() - started
    weights = latencies(client)
    assert sum(weights.values()) == 10
    (late,) = [bucket for bucket, count in weights.items() if count == 9]
    assert bucket_of(64_000_000) - 1 <= late <= bucket_of(64_000_000 + 2 * spent) + 1


def test_a_new_writer_continues_the_latency_of_the_one_before(
    client: "redis.Redis[str]", sink: RedisTotals, redis_url: str
) -> None:
    sink.show(row(4))
    successor = RedisTotals(redis_url, "7")
    successor.show(row(3))
    successor.show(row(6))
    successor.close()
    assert sum(latencies(client).values()) == 6


def test_what_was_visible_before_a_replay_is_shown_again_without_its_latency(
    client: "redis.Redis[str]", sink: RedisTotals
) -> None:
    client.hset(KEYS.counters, "history_orders", 5)
    for orders in (3, 5, 6):
        assert sink.show(row(orders)) == SHOWN
    assert shown(client) == of_lattes(6)
    assert sum(latencies(client).values()) == 1


def test_a_server_that_is_away_is_waited_for_and_then_reported() -> None:
    sink = RedisTotals("redis://127.0.0.1:9", "7", give_up_after_s=0.1)
    with pytest.raises(NotShownError, match="could not be shown"):
        sink.show(row(1))


def test_a_full_memory_is_waited_for_and_then_reported(client: "redis.Redis[str]", sink: RedisTotals) -> None:
    client.config_set("maxmemory", 1)
    try:
        with pytest.raises(NotShownError, match="maxmemory"):
            sink.show(row(3))
    finally:
        client.config_set("maxmemory", 0)
    assert not client.exists(KEYS.total_orders)
    sink.show(row(3))
    assert shown(client) == of_lattes(3)


def test_late_orders_are_shown_beside_the_totals_and_come_back_after_a_flush(
    client: "redis.Redis[str]", sink: RedisTotals
) -> None:
    sink.show(row(5, too_late=2))
    assert client.hgetall(KEYS.late) == {"uptown:orders": "2", "uptown:revenue": "600"}
    client.delete(KEYS.late)
    sink.show(row(6, too_late=3))
    assert client.hgetall(KEYS.late) == {"uptown:orders": "3", "uptown:revenue": "900"}


def test_the_watermark_is_shown_and_never_goes_back(client: "redis.Redis[str]", sink: RedisTotals) -> None:
    minute = 60_000_000
    reached = now_us() - 10 * minute
    sink.show(row(1, reached_us=reached))
    shown_ms = int(client.get(KEYS.watermark) or 0)
    assert shown_ms == reached // 1_000 - BEHIND_S * 1_000
    sink.show(row(2, reached_us=reached - minute))
    assert int(client.get(KEYS.watermark) or 0) == shown_ms
    sink.show(row(3, reached_us=now_us() + 60 * minute))
    assert int(client.get(KEYS.watermark) or 0) <= now_us() // 1_000 - BEHIND_S * 1_000
