"""The comparison on real servers: right when all is well, and it names each thing that is made wrong."""

from uuid import uuid4

import pytest
from redis.asyncio import Redis

from backend.clients.daemon import Database
from backend.lab.chaos.client import Client
from backend.lab.chaos.experiment import Settled, quiet, settle
from backend.pipelines.balance import is_zero
from backend.pipelines.faults import NotReadyError
from backend.pipelines.v1_direct.aggregator import Aggregator
from backend.pipelines.v1_direct.fence import METRICS
from coffee_core.clock import now_us, to_datetime
from coffee_core.load.orders import Attempt, Kind
from coffee_core.load.statistics import Answer, Outcome
from coffee_core.pipelines.constants import V1
from coffee_core.settings import Settings

INSERT = """
    insert into orders (version, message_id, drink, store, price_cents, ordered_at, accepted_at, source_id)
    values ('v1', $1, $2, $3, $4, $5, now(), '')
"""


async def store(connection: Database, attempt: Attempt, message_id: object) -> None:
    """Store an attempt as the API does."""
    ordered_at = to_datetime(attempt.ordered_at_us)
    await connection.execute(INSERT, message_id, attempt.drink, attempt.store, attempt.price_cents, ordered_at)


async def show(connection: Database, client: Redis) -> None:
    assert await Aggregator(connection, client).run(next_run_us=now_us() + 10_000_000)


@pytest.fixture
async def load(connection: Database, client: Redis) -> Client:
    """A client whose orders were all acknowledged, stored and shown."""
    load = Client("http://127.0.0.1:1", V1)
    while len(load.answers) < 45:
        attempt = load._mix.next(V1)
        if attempt.kind is Kind.NEW:
            key = attempt.key or uuid4()
            await store(connection, attempt, key)
            load.answers.append(Answer(attempt, Outcome.ACKNOWLEDGED, 201, str(key), "", 1))
    await show(connection, client)
    return load


async def look(settings: Settings, load: Client) -> Settled:
    return await settle(settings, load, within_s=0)


async def test_all_is_well(settings: Settings, load: Client) -> None:
    settled = await look(settings, load)
    assert settled.verdict.exact
    assert settled.verdict.accepted == settled.verdict.stored == load.begun > 40
    assert is_zero(settled.drift)
    assert settled.balance.balanced


async def test_a_deleted_row_is_lost_also_when_the_metrics_follow(
    settings: Settings, connection: Database, client: Redis, load: Client
) -> None:
    gone = load.answers[3]
    await connection.execute("delete from orders where message_id = $1", gone.message_id)
    await show(connection, client)
    settled = await look(settings, load)
    assert settled.verdict.lost == (str(gone.attempt.key or gone.attempt.timestamp),)
    assert is_zero(settled.drift)


async def test_a_second_id_for_one_order_is_a_duplicate(
    settings: Settings, connection: Database, client: Redis, load: Client
) -> None:
    await store(connection, load.answers[0].attempt, uuid4())
    await show(connection, client)
    assert len((await look(settings, load)).verdict.duplicated) == 1


async def test_a_key_that_was_touched_is_drift(settings: Settings, client: Redis, load: Client) -> None:
    await client.hincrby(METRICS.drink_revenue, "latte", 5)
    drift = (await look(settings, load)).drift
    assert drift.drink_revenue_cents["latte"] == 5
    assert (drift.orders, drift.revenue_cents) == (0, 0)


async def test_nothing_is_broken_where_something_is_wrong_before(
    settings: Settings, client: Redis, load: Client
) -> None:
    assert (await quiet(settings, V1, within_s=0)).shown.orders == load.begun
    await client.incr(METRICS.total_orders)
    with pytest.raises(NotReadyError, match=r"before anything was broken: v1: .*drift \+1"):
        await quiet(settings, V1, within_s=0)
