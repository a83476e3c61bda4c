"""The way of an order from the socket to Redis stays short enough to be read."""

from tests.integration.backend.api.order_path import measure


async def test_an_order_of_v2_passes_few_files_and_functions() -> None:
    # The least of three: on a busy machine a timer of the API's may fall into one, and is not on the order's way.
    found = min([await measure() for _ in range(3)], key=lambda files: sum(map(len, files.values())))
    assert len(found) <= 12, sorted(found)
    assert sum(map(len, found.values())) <= 42, found
