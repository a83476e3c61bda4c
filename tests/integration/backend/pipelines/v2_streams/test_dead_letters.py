"""v2's dead letters, listed, put back and dropped; the audit balances through all of it."""

from redis.asyncio import Redis

from backend.clients.daemon import Database
from backend.pipelines.audit import audit
from backend.pipelines.dead_letters import Letter, new_message_id, requeued_id
from backend.pipelines.v2_streams.repair import requeue
from coffee_core import keys
from coffee_core.ids import new_message_id as fresh_id
from coffee_core.pipelines.constants import V2
from coffee_core.settings import Settings
from tests.integration.backend.pipelines.repairs import settle_dead_letters
from tests.integration.backend.pipelines.v2_streams.bench import drain, order, post, started


async def letters(
    settings: Settings, action: str | None = None, *ids: str, **repairs: str
) -> list[tuple[Letter, str]]:
    return await settle_dead_letters(settings, V2, ids, action, repairs)


async def work(connection: Database, client: Redis) -> None:
    await drain(await started(connection, client), client)


async def assert_balanced(settings: Settings) -> None:
    (balance,) = await audit(settings, (V2,), settle_s=0, deep=True)
    assert balance.balanced, balance


async def test_they_are_listed_with_reason_origin_and_fields(
    settings: Settings, connection: Database, client: Redis
) -> None:
    origin = await client.xadd(keys.STREAM, {**order().to_fields(), "price_cents": "0", "reason": "mine"})
    await work(connection, client)
    ((letter, outcome),) = await letters(settings)
    assert (letter.origin, letter.reason, outcome) == (origin, "malformed", "")
    assert "price_cents" in letter.detail
    assert letter.fields["price_cents"] == "0"


async def test_a_repaired_letter_keeps_its_id_and_becomes_a_row(
    settings: Settings, connection: Database, client: Redis
) -> None:
    mine = order()
    await client.xadd(keys.STREAM, {**mine.to_fields(), "price_cents": "0"})
    await work(connection, client)
    await letters(settings, "requeue", price_cents="450")
    await assert_balanced(settings)
    await work(connection, client)
    rows = await connection.fetch("select message_id::text, price_cents from orders_v2")
    assert [tuple(row) for row in rows] == [(str(mine.message_id), 450)]
    assert await letters(settings) == []
    await assert_balanced(settings)


async def test_a_key_conflict_gets_an_id_of_its_own_for_good(
    settings: Settings, connection: Database, client: Redis
) -> None:
    key = fresh_id()
    await post(client, order(key), order(key, price_cents=700), order(key, price_cents=700))
    await work(connection, client)
    ((letter, _), _) = await letters(settings)
    await letters(settings, "requeue")
    await work(connection, client)
    made = requeued_id(V2, letter, {})
    assert await connection.fetch("select message_id from orders_v2 where price_cents = 700") == [(made,)]
    assert await requeue(client, letter, {}) is None
    await assert_balanced(settings)


async def test_what_dies_again_is_a_new_letter_and_nothing_is_lost(
    settings: Settings, connection: Database, client: Redis
) -> None:
    await client.execute_command("XADD", keys.STREAM, "*", "drink", b"caf\xe9")
    await work(connection, client)
    ((letter, _),) = await letters(settings)
    ((_, outcome),) = await letters(settings, "requeue", letter.id)
    await work(connection, client)
    ((again, _),) = await letters(settings)
    assert outcome == f"requeued as {again.origin}"
    assert again.fields["message_id"] == str(new_message_id(V2, letter.origin))
    assert again.fields["drink"].encode("utf-8", "surrogateescape") == b"caf\xe9"
    await assert_balanced(settings)


async def test_a_dropped_letter_is_gone_and_accounted_for(
    settings: Settings, connection: Database, client: Redis
) -> None:
    await client.xadd(keys.STREAM, {"drink": "tea"})
    await client.xadd(keys.STREAM, {"drink": "milk"})
    await work(connection, client)
    first = (await letters(settings))[0][0]
    assert [outcome for _, outcome in await letters(settings, "drop", first.id)] == ["dropped"]
    assert [letter.fields["drink"] for letter, _ in await letters(settings)] == ["milk"]
    await assert_balanced(settings)
