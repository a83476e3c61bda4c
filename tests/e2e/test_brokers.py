"""Three brokers, replication 3, one parted and one killed under load: whatever was acknowledged is there, once."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from functools import partial

import aiohttp
import pytest

from backend.clients.kafka import open_logs
from coffee_core.keys import DEAD_TOPIC, TOPIC
from coffee_core.pipelines.constants import V3
from tests.e2e.lab import V3_PARTS, Lab
from tests.e2e.truth import CONCURRENCY, Attempt, expected_rows, mixed_attempts, shown_totals, stored_rows
from tests.outside.brokers import Brokers
from tests.waiting import until

ORDERS = 1_500
FIRST = 1
"""The node that is parted, then killed."""
AGAIN = (409, 503, 504)
"""In hand, nowhere, or nobody knows: the answers that tell a client to send the same again."""


pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Brokers, Lab]]:
    folder = tmp_path_factory.mktemp("three brokers")
    with Brokers(folder / "kafka", 3) as brokers:
        lab = Lab(folder / "coffee home", "v3", KAFKA_BOOTSTRAP_SERVERS=brokers.servers)
        lab.expected = V3_PARTS | {"postgres", "redis", "cafe-order-api"}
        with lab.running():
            yield brokers, lab


async def in_step(lab: Lab) -> dict[int, set[int]]:
    """Return the replicas that are in step, of each partition of the topic that the first broker leads."""
    async with open_logs(lab.settings) as logs:
        (topic,) = await logs._admin.describe_topics([TOPIC])
    return {each["partition"]: set(each["isr"]) for each in topic["partitions"] if each["leader"] == FIRST}


async def post_until_acknowledged(
    lab: Lab, attempts: list[Attempt], at_half: Callable[[], Awaitable[object]]
) -> None:
    """Send each order, again under its key where the answer says to; half-way through await `at_half`."""
    url = f"{lab.settings.api_url}/api/v3/order"
    places = iter(enumerate(attempts))

    async def one(session: aiohttp.ClientSession, attempt: Attempt) -> bool:
        headers = {"Idempotency-Key": str(attempt.key)}
        async with session.post(url, json=attempt.body, headers=headers) as answer:
            text = await answer.text()
            assert answer.status in (attempt.status, *AGAIN), text
            return answer.status not in AGAIN

    async def lane(session: aiohttp.ClientSession) -> None:
        for place, attempt in places:
            if place == len(attempts) // 2:
                await at_half()
            await until(partial(one, session, attempt), 180)

    timeout = aiohttp.ClientTimeout(total=20)
    async with aiohttp.ClientSession(timeout=timeout) as session, asyncio.TaskGroup() as lanes:
        for _ in range(CONCURRENCY):
            lanes.create_task(lane(session))


async def post_and_compare(lab: Lab, seed: int, at_half: Callable[[], Awaitable[object]]) -> None:
    """Post orders until each is acknowledged, and hold every row and the totals against them."""
    before = await shown_totals(lab.settings, V3)
    attempts = [each for each in mixed_attempts(V3, ORDERS, seed) if each.status < 300]
    expected = expected_rows(attempts)
    await post_until_acknowledged(lab, attempts, at_half)

    async def all_shown() -> bool:
        return (await shown_totals(lab.settings, V3)).orders >= before.orders + len(expected)

    await until(all_shown, within_s=120)
    keys = [attempt.key for attempt in attempts]

    async def all_stored() -> bool:
        return await stored_rows(lab.settings, V3, keys) == expected

    await until(all_stored, within_s=120)
    assert (await shown_totals(lab.settings, V3)).orders == before.orders + len(expected)
    audited = await asyncio.to_thread(lab.coffee, "audit", "--deep", "--pipelines", "v3")
    assert audited.returncode == 0, audited.stdout + audited.stderr


async def test_a_leader_is_parted_from_its_followers_and_not_one_order_is_lost(
    cluster: tuple[Brokers, Lab],
) -> None:
    brokers, lab = cluster
    assert any(len(replicas) == 3 for replicas in (await in_step(lab)).values())

    async def part() -> None:
        brokers.to_first.part()

        async def alone() -> bool:
            return all(replicas == {FIRST} for replicas in (await in_step(lab)).values())

        # From here on it takes nothing that asks for two replicas.
        await until(alone, 60, "the leader has no replica in step but itself")
        brokers.to_first.heal()

    await post_and_compare(lab, 96, part)

    async def together() -> bool:
        return all(len(replicas) == 3 for replicas in (await in_step(lab)).values())

    await until(together, 60, "all replicas are in step again")


async def test_a_broker_dies_and_not_one_order_is_lost(cluster: tuple[Brokers, Lab]) -> None:
    brokers, lab = cluster
    async with open_logs(lab.settings) as logs:
        topics = await logs._admin.describe_topics([TOPIC, DEAD_TOPIC])
    assert {len(each["replicas"]) for topic in topics for each in topic["partitions"]} == {3}

    async def kill() -> None:
        await asyncio.to_thread(brokers.kill, FIRST)

    await post_and_compare(lab, 95, kill)
