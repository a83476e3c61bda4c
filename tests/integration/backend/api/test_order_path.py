"""The way of an order from the socket to Redis stays short enough to be read."""

from tests.integration.backend.api.order_path import measure


async def test_an_order_of_v2_passes_few_files_and_functions() -> None:
    found = await measure()
    assert len(found) <= 12, sorted(found)
    assert sum(map(len, found.values())) <= 42, found
