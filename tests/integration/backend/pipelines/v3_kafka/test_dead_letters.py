"""v3 before a real Kafka: its dead letters."""

import json
from collections.abc import AsyncIterator
from dataclasses import replace

from backend.clients.kafka import open_logs
from backend.pipelines.dead_letters import Letter, conflicting_id
from coffee_core.keys import TOPIC
from coffee_core.pipelines.constants import V3
from tests.integration.backend.pipelines.job import Job, done_with
from tests.integration.backend.pipelines.repairs import settle_dead_letters
from tests.integration.backend.pipelines.v2_streams.bench import mixed


async def letters(job: Job, action: str | None = None, *ids: str, **repairs: str) -> list[tuple[Letter, str]]:
    return await settle_dead_letters(job.settings, V3, ids, action, repairs)


async def test_letters_go_back_once_and_are_not_listed_again(job: Job) -> None:
    (mine,) = mixed(1, seed=3)
    text = json.dumps({**mine.to_fields(), "price_cents": -5})
    origin = await job.put(b"x", text.encode())
    await job.bury(origin, text, "price_cents")
    await job.bury(origin, text, "price_cents")  # after a restore it may stand there twice
    job.show([], dead=1)
    ((letter, _),) = await letters(job)
    assert (letter.origin, letter.reason, letter.fields["price_cents"]) == (origin, "price_cents", -5)
    ((_, outcome),) = await letters(job, "requeue", price_cents="450")
    assert await letters(job) == []
    repaired = replace(mine, price_cents=450)
    await job.store([repaired], [outcome.removeprefix("requeued as ")])
    job.show([repaired], dead=1)
    balance = await job.look(deep=True)
    assert balance.balanced, balance
    assert (balance.accepted, balance.stored.orders, balance.dead_letters) == (2, 1, 1)


async def test_a_letter_does_not_hide_behind_another_order_of_its_id(job: Job) -> None:
    orders, _ = await done_with(job)
    fields: dict[str, object] = {**orders[0].to_fields(), "price_cents": 0}
    text = json.dumps(fields)
    origin = await job.put(b"x", text.encode())
    await job.bury(origin, text)
    await letters(job, "requeue", origin, price_cents="999")
    found = [json.loads(value) async for value in values(job)]
    assert found[-1]["message_id"] == str(conflicting_id(V3, {**fields, "price_cents": "999"}))


async def values(job: Job) -> AsyncIterator[bytes]:
    """Read every value of the topic that is JSON, the newest last."""
    async with open_logs(job.settings) as logs:
        records = [each async for batch in logs.records(TOPIC, await logs.bounds(TOPIC)) for each in batch]
    for record in sorted(records, key=lambda each: each.time_ms):
        if record.value and record.value.startswith(b"{"):
            yield record.value


async def test_what_cannot_go_back_is_kept_until_it_is_dropped(job: Job) -> None:
    await done_with(job)
    ((letter, outcome),) = await letters(job, "requeue")
    assert outcome.startswith("kept: ")
    assert [outcome for _, outcome in await letters(job, "drop", letter.id)] == ["dropped"]
    assert await letters(job) == []
    assert (await job.look(deep=True)).balanced
