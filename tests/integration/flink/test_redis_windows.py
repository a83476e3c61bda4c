"""The writer of the windows, against a real Valkey."""

from collections.abc import Iterator

import pytest
import redis

from coffee_core.clock import now_us
from coffee_core.menu import STORES
from coffee_core.windows import KEPT_S, WINDOW_S, starts
from flink.redis_sink import KEYS, OLDER, OTHER_EPOCH, SHOWN, NotShownError, RedisWindows


@pytest.fixture
def client(redis_url: str) -> Iterator["redis.Redis[str]"]:
    with redis.Redis.from_url(redis_url, decode_responses=True) as client:
        client.set(KEYS.epoch, "7")
        yield client


@pytest.fixture
def windows(redis_url: str, client: "redis.Redis[str]") -> Iterator[RedisWindows]:
    windows = RedisWindows(redis_url, "7", give_up_after_s=0.2)
    yield windows
    windows.close()


def row(start_s: int, orders: int) -> tuple[int, ...]:
    """A window in which uptown has got so many orders at 3.00."""
    return (
        start_s,
        *(cell for store in STORES for cell in ((orders, 300 * orders) if store == "uptown" else (0, 0))),
    )


def orders(client: "redis.Redis[str]", start_s: int) -> int | None:
    found = client.hgetall(KEYS.window(start_s))
    if not found:
        return None
    assert int(found["uptown:revenue"]) == 300 * int(found["uptown:orders"])
    return int(found["uptown:orders"])


def test_a_window_is_shown_and_expires(client: "redis.Redis[str]", windows: RedisWindows) -> None:
    (start_s,) = starts(now_us(), 1)
    assert windows.show(row(start_s, 3)) == SHOWN
    assert orders(client, start_s) == 3
    assert client.expiretime(KEYS.window(start_s)) == start_s + WINDOW_S + KEPT_S


def test_the_same_again_changes_nothing_and_less_is_refused(
    client: "redis.Redis[str]", windows: RedisWindows
) -> None:
    (start_s,) = starts(now_us(), 1)
    assert [windows.show(row(start_s, count)) for count in (3, 3, 2, 4)] == [SHOWN, SHOWN, OLDER, SHOWN]
    assert orders(client, start_s) == 4


def test_another_epoch_is_refused_and_counted(
    client: "redis.Redis[str]", windows: RedisWindows, redis_url: str
) -> None:
    (start_s,) = starts(now_us(), 1)
    windows.show(row(start_s, 3))
    client.set(KEYS.epoch, "8")
    assert windows.show(row(start_s, 9)) == OTHER_EPOCH
    assert (orders(client, start_s), client.hget(KEYS.counters, "refused")) == (3, "1")


def test_a_missing_epoch_is_waited_for_and_then_reported(
    client: "redis.Redis[str]", windows: RedisWindows
) -> None:
    client.delete(KEYS.epoch)
    (start_s,) = starts(now_us(), 1)
    with pytest.raises(NotShownError, match="epoch is missing"):
        windows.show(row(start_s, 3))
    assert orders(client, start_s) is None


@pytest.mark.parametrize("off_s", [-KEPT_S - 2 * WINDOW_S, 10 * WINDOW_S])
def test_a_window_that_has_expired_or_lies_in_the_future_leaves_no_key(
    client: "redis.Redis[str]", windows: RedisWindows, off_s: int
) -> None:
    (start_s,) = starts(now_us() + off_s * 1_000_000, 1)
    assert windows.show(row(start_s, 3)) == SHOWN
    assert not client.keys("v3:lab:windows:*")


def test_flushed_windows_come_back_with_the_next_order(client: "redis.Redis[str]", windows: RedisWindows) -> None:
    known = starts(now_us(), 4)
    for start_s in known[:3]:
        windows.show(row(start_s, 5))
    client.flushall()
    client.set(KEYS.epoch, "7")
    assert windows.show(row(known[3], 1)) == SHOWN
    assert [orders(client, start_s) for start_s in known] == [5, 5, 5, 1]


def test_windows_that_vanish_one_after_the_other_come_back(
    client: "redis.Redis[str]", windows: RedisWindows
) -> None:
    known = starts(now_us(), 4)
    for start_s in known:
        windows.show(row(start_s, 5))
    for count, gone in enumerate(known[:3], start=6):
        client.delete(KEYS.window(gone))
        for _ in known:
            windows.show(row(known[3], count))
    assert [orders(client, start_s) for start_s in known] == [5, 5, 5, 8]


def test_they_come_back_also_where_the_job_was_restarted_before_the_flush(
    client: "redis.Redis[str]", windows: RedisWindows, redis_url: str
) -> None:
    before, now = starts(now_us(), 2)
    windows.show(row(before, 5))
    successor = RedisWindows(redis_url, "7")
    successor.show(row(now, 1))
    client.flushall()
    client.set(KEYS.epoch, "7")
    successor.show(row(now, 2))
    successor.close()
    assert (orders(client, before), orders(client, now)) == (5, 2)


def test_what_another_subtask_writes_from_an_older_copy_is_put_right_by_its_own(
    client: "redis.Redis[str]", windows: RedisWindows, redis_url: str
) -> None:
    closed, theirs, ours = starts(now_us(), 3)
    windows.show(row(closed, 5))
    other = RedisWindows(redis_url, "7")
    other.show(row(theirs, 1))
    windows.show(row(closed, 9))
    client.flushall()
    client.set(KEYS.epoch, "7")
    other.show(row(theirs, 2))
    assert orders(client, closed) == 5
    for count in (1, 2):
        windows.show(row(ours, count))
    other.close()
    assert [orders(client, start_s) for start_s in (closed, theirs, ours)] == [9, 2, 2]


def test_a_successor_in_another_epoch_takes_nothing_over(
    client: "redis.Redis[str]", windows: RedisWindows, redis_url: str
) -> None:
    before, now = starts(now_us(), 2)
    windows.show(row(before, 5))
    successor = RedisWindows(redis_url, "8")
    assert successor.show(row(now, 1)) == OTHER_EPOCH
    client.set(KEYS.epoch, "8")
    assert successor.show(row(now, 1)) == SHOWN
    client.flushall()
    client.set(KEYS.epoch, "8")
    successor.show(row(now, 2))
    successor.close()
    assert (orders(client, before), orders(client, now)) == (None, 2)


def test_a_key_of_another_type_is_replaced(client: "redis.Redis[str]", windows: RedisWindows) -> None:
    (start_s,) = starts(now_us(), 1)
    client.rpush(KEYS.window(start_s), "not", "mine")
    assert windows.show(row(start_s, 2)) == SHOWN
    assert orders(client, start_s) == 2
    assert client.ttl(KEYS.window(start_s)) > 0
