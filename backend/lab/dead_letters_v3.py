"""v3's dead letters: records of ``orders.dead``. A log forgets nothing: Redis remembers what was dealt with.

Producing comes before remembering. A crash in between leaves the letter listed; requeued once more it has the same
message id, so that the job drops the second one as a repeat.
"""

import json
from collections.abc import Mapping
from typing import Any

from aiokafka import AIOKafkaProducer
from redis.asyncio import Redis

from backend.daemon import Database
from backend.kafka_options import kafka_options
from backend.lab.audit_deep_v3 import read_order
from backend.lab.audit_kafka import KafkaLogs, Record, naming_kafka
from backend.lab.dead_letters import KEPT, Letter, LetterError, new_message_id, requeued_id
from backend.lab.resources import sql
from backend.lab.servers import Servers
from coffee_core.clock import to_datetime
from coffee_core.keys import DEAD_TOPIC, TOPIC, MetricKeys
from coffee_core.pipelines import Pipeline

HANDLED = MetricKeys(Pipeline.V3).counters.rpartition(":")[0] + ":letters"
"""Hash: origin → ``requeued`` or ``dropped``."""
_LOOK_UP = sql("audit_look_up")
_LONGEST_TEXT = 100_000
"""Characters that the job keeps of a value."""


async def letters(logs: KafkaLogs, client: Redis) -> list[Letter]:
    """Return the letters not dealt with yet, each once, oldest first. Raises the errors of both servers."""
    found: dict[str, Letter] = {}
    async for batch in logs.records(DEAD_TOPIC, await logs.bounds(DEAD_TOPIC)):
        for record in batch:
            letter = _letter(record)
            found.setdefault(letter.origin, letter)
    handled = set(await client.hkeys(HANDLED))  # type: ignore[misc]
    return [letter for origin, letter in found.items() if origin not in handled]


def _letter(record: Record) -> Letter:
    origin = (record.key or b"").decode(errors="replace")
    try:
        said = json.loads(record.value or b"")
    except ValueError:
        said = None
    if not isinstance(said, dict):
        said = {"reason": "this letter itself cannot be read", "text": None}
    text = said.get("text")
    return Letter(
        id=origin,
        origin=origin,
        reason=str(said.get("reason", "")),
        detail="",
        time_us=record.time_ms * 1000,
        fields=_fields(text),
        text=text if isinstance(text, str) else "",
    )


def _fields(text: object) -> dict[str, Any]:
    try:
        fields = json.loads(text) if isinstance(text, str) else None
    except (ValueError, RecursionError):
        return {}
    return fields if isinstance(fields, dict) else {}


def record_of(letter: Letter, repairs: Mapping[str, str], taken: bool = False) -> tuple[bytes, bytes]:
    """Return key and value of the record that puts a letter back, with a new id where its own is taken or none.

    Raises LetterError where nothing can put it back.
    """
    if not letter.fields and not repairs:
        raise LetterError("it is no JSON object: give its fields by --set, or --drop it")
    if len(letter.text) >= _LONGEST_TEXT:
        raise LetterError(f"it was cut off at {_LONGEST_TEXT:,} characters: it can only be dropped")
    fields = {**letter.fields, **repairs}
    new_id = new_message_id(Pipeline.V3, letter.origin) if taken else requeued_id(Pipeline.V3, letter)
    if new_id is not None and "message_id" not in repairs:
        fields["message_id"] = str(new_id)
    return str(fields["message_id"]).encode(), json.dumps(fields, separators=(",", ":")).encode()


async def requeue(servers: Servers, chosen: list[Letter], repairs: Mapping[str, str]) -> list[str]:
    """Put letters back with one producer; return the place of each new record, or ``kept: …`` with the reason.

    Raises UnreachableError and the errors of the other servers; what was remembered by then was sent.
    """
    kafka = servers.settings.kafka_servers
    producer = AIOKafkaProducer(
        **kafka_options(servers.settings), client_id="coffee-dead-letters", acks="all", enable_idempotence=True
    )
    outcomes = []
    try:
        with naming_kafka(kafka):
            await producer.start()
        for letter in chosen:
            try:
                key, value = await _record(servers.database, letter, repairs)
            except LetterError as error:
                outcomes.append(f"{KEPT}: {error}")
                continue
            with naming_kafka(kafka):
                sent = await producer.send_and_wait(TOPIC, value, key)
            await handled(servers.client, letter, "requeued")
            outcomes.append(f"requeued as {sent.partition}:{sent.offset}")
    finally:
        await producer.stop()
    return outcomes


async def _record(connection: Database, letter: Letter, repairs: Mapping[str, str]) -> tuple[bytes, bytes]:
    key, value = record_of(letter, repairs)
    order = read_order(value)
    if order is None:
        return key, value
    # The job keeps the first of two orders under one id: a repaired letter must not vanish behind another order.
    (row,) = await connection.fetch(
        _LOOK_UP,
        str(Pipeline.V3),
        [order.message_id],
        [order.drink],
        [order.store],
        [order.price_cents],
        [to_datetime(order.ordered_at_us)],
        [letter.origin],
    )
    return record_of(letter, repairs, taken=bool(row["found"] and not row["same"]))


async def handled(client: Redis, letter: Letter, how: str) -> bool:
    """Remember that a letter was dealt with; False where it was before. Raises an error of Redis."""
    return bool(await client.hsetnx(HANDLED, letter.origin, how))  # type: ignore[misc]
