"""What others put on v3's topic, past the API: each record is an order or a dead letter, and the job runs on."""

import asyncio
import json
from uuid import UUID

import pytest
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from backend.clients.servers import open_servers
from coffee_core.keys import TOPIC
from coffee_core.pipelines.constants import V3
from tests.e2e.lab import Lab
from tests.e2e.topic import keep_and_take_back, producer, record
from tests.e2e.truth import in_step, shown_totals
from tests.records import foreign_records
from tests.waiting import until

WITHIN_S = 60


async def rows(lab: Lab) -> dict[str, UUID]:
    """Return the message id of each row by its place on the topic."""
    async with open_servers(lab.settings) as servers:
        found = await servers.database.fetch("SELECT source_id, message_id FROM orders WHERE version = 'v3'")
    return {row["source_id"]: UUID(int=row["message_id"].int) for row in found}


async def letters(lab: Lab) -> dict[str, str]:
    """Return the reasons of all dead letters by the places of their records on the topic."""
    done = await asyncio.to_thread(lab.coffee, "dead-letters", "v3", "--json")
    return {letter["origin"]: letter["reason"] for letter in json.loads(done.stdout)}


def audited(lab: Lab, *options: str) -> dict[str, object]:
    """Return the balance of v3, which must be balanced."""
    done = lab.coffee("audit", "--json", "--pipelines", "v3", *options)
    assert done.returncode == 0, done.stdout + done.stderr
    (pipeline,) = json.loads(done.stdout)["pipelines"]
    assert isinstance(pipeline, dict)
    return pipeline


async def test_every_record_is_an_order_or_a_dead_letter_and_the_job_runs_on(lab: Lab) -> None:
    wanted = {}
    async with producer(lab) as other:
        for each in foreign_records():
            sent = await other.send_and_wait(
                TOPIC, each.value, each.key, timestamp_ms=each.timestamp_ms, headers=list(each.headers)
            )
            wanted[f"{sent.partition}:{sent.offset}"] = each

    async def all_are_somewhere() -> bool:
        return set(wanted) <= {*await rows(lab), *await letters(lab)}

    await until(all_are_somewhere, within_s=WITHIN_S)
    stored, dead = await rows(lab), await letters(lab)
    assert {each.name: place in stored for place, each in wanted.items()} == {
        each.name: each.is_order for each in wanted.values()
    }
    assert not {each.name for place, each in wanted.items() if (place in dead) == each.is_order}
    await in_step(lab, 0)
    audited(lab, "--deep")


async def test_an_id_in_capitals_and_a_price_with_zeros_are_the_same_order(lab: Lab) -> None:
    message_id, known = UUID("abcdefab-cdef-4abc-8def-abcdefabcdef"), await letters(lab)
    text = record(message_id).decode()
    before = (await in_step(lab, 0)).orders
    forms = (text, text.replace(str(message_id), str(message_id).upper()), text.replace(": 450", ': "0450"'))
    assert len(set(forms)) == 3
    async with producer(lab) as other:
        for form in (*forms, record(UUID(int=4 << 76 | 8 << 60)).decode()):
            await other.send_and_wait(TOPIC, form.encode(), b"one key: one partition")
    assert (await in_step(lab, before + 2)).orders == before + 2
    assert await letters(lab) == known
    audited(lab, "--deep")


async def test_what_a_transaction_took_back_is_no_order_and_its_markers_are_none(lab: Lab) -> None:
    before = (await in_step(lab, 0)).orders
    kept, taken_back = UUID(int=5 << 76 | 8 << 60), UUID(int=6 << 76 | 8 << 60)
    await keep_and_take_back(lab, kept, taken_back)
    await in_step(lab, before + 1)

    async def at_rest() -> bool:
        return (await asyncio.to_thread(audited, lab))["in_flight"] == 0

    await until(at_rest, within_s=WITHIN_S)
    assert taken_back not in (await rows(lab)).values()
    assert (await shown_totals(lab.settings, V3)).orders == before + 1
    audited(lab, "--deep")


@pytest.mark.parametrize("codec", ["lz4", "zstd"])
async def test_a_topic_may_be_compressed(lab: Lab, codec: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=lab.settings.kafka_servers)
    await admin.start()
    try:
        for compression in (codec, "producer"):
            configs = {"compression.type": compression}
            await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, TOPIC, configs)])
            before = (await in_step(lab, 0)).orders
            ordered = await asyncio.to_thread(lab.coffee, "order", "v3")
            assert ordered.returncode == 0, ordered.stderr
            await in_step(lab, before + 1)
    finally:
        await admin.close()
    audited(lab, "--deep")
