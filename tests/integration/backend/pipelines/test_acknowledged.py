"""What several APIs keep of how far a topic was acknowledged, before a real Redis."""

from redis.asyncio import Redis

from coffee_core.resources import lua

PACKAGE, KEY = "backend.pipelines.topic", "acknowledged"
SKEW_MS, COMPARED = 1_000, -1


async def keep(client: Redis, skew_ms: int, *spans: tuple[int, int, int, int]) -> list[str]:
    script = client.register_script(lua(PACKAGE, "acknowledged"))
    doubtful: list[str] = await script(keys=[KEY], args=[skew_ms, *(value for span in spans for value in span)])
    return doubtful


async def test_the_last_record_of_all_apis_stands(client: Redis) -> None:
    assert await keep(client, SKEW_MS, (0, 0, 9, 5_000), (1, 0, 3, 5_000)) == []
    # Another API's, which was acknowledged before it; and a hair later, though it lies before.
    assert await keep(client, SKEW_MS, (0, 4, 6, 4_999), (1, 2, 2, 5_900)) == []
    assert await keep(client, SKEW_MS, (0, 7, 12, 5_010)) == []
    assert await client.hgetall(KEY) == {"0": "12 5010", "1": "3 5000"}  # type: ignore[misc]


async def test_what_may_be_in_the_place_of_lost_records_is_not_kept_until_it_was_compared(client: Redis) -> None:
    await keep(client, SKEW_MS, (0, 0, 99, 5_000), (1, 0, 99, 5_000))
    # Also where it has reached further than before.
    assert await keep(client, SKEW_MS, (0, 90, 120, 9_000), (1, 100, 120, 9_000)) == ["0"]
    assert await client.hgetall(KEY) == {"0": "99 5000", "1": "120 9000"}  # type: ignore[misc]
    assert await keep(client, COMPARED, (0, 90, 95, 9_000)) == []
    assert await client.hget(KEY, "0") == "99 5000", "whole: the last record stands"  # type: ignore[misc]
    truncate = client.register_script(lua(PACKAGE, "truncated"))
    assert [await truncate(keys=[KEY], args=[0, "99 5000", 10]) for _ in range(2)] == [10, 0], "counted twice"
    assert await keep(client, COMPARED, (0, 90, 95, 9_000)) == []
    assert await client.hgetall(KEY) == {  # type: ignore[misc]
        "0": "95 9000",
        "0:truncated": "10",
        "1": "120 9000",
    }
