"""Dead letters on a topic of their own. A log forgets nothing: Redis remembers what was settled."""

import json
from collections.abc import Mapping
from typing import Any

from aiokafka import AIOKafkaProducer
from redis.asyncio import Redis

from backend.clients.daemon import Database
from backend.clients.kafka import KafkaLogs, Record, kafka_options, naming_kafka, open_logs
from backend.clients.servers import Servers, open_servers
from backend.pipelines.dead_letters import (
    KEPT,
    LOST_THE_RACE,
    Letter,
    LetterError,
    choose,
    conflicting_id,
    requeued_id,
)
from backend.pipelines.topic.compare import look_up
from backend.pipelines.topic.records import read_order
from coffee_core.clock import MAX_TIME_US
from coffee_core.keys import MetricKeys
from coffee_core.pipelines import Log, Pipeline
from coffee_core.settings import Settings

LONGEST_TEXT = 100_000
"""Characters that a letter keeps of its record's value."""


async def settle_dead_letters(
    settings: Settings, pipeline: Pipeline, ids: tuple[str, ...], action: str | None, repairs: Mapping[str, str]
) -> list[tuple[Letter, str]]:
    """List, requeue or drop letters. Raises LetterError, UnreachableError and CoffeeError."""
    async with open_servers(settings) as servers:
        async with open_logs(settings) as logs:
            chosen = choose(await read_letters(logs, servers.client, pipeline), ids)
        if action == "requeue":
            return list(zip(chosen, await requeue(servers, pipeline, chosen, repairs), strict=True))
        if action == "drop":
            firsts = [await mark_settled(servers.client, pipeline, letter, "dropped") for letter in chosen]
            return [
                (letter, "dropped" if ours else LOST_THE_RACE) for letter, ours in zip(chosen, firsts, strict=True)
            ]
        return [(letter, "") for letter in chosen]


async def read_letters(logs: KafkaLogs, client: Redis, pipeline: Pipeline) -> list[Letter]:
    """Return the letters not dealt with yet, each once, oldest first. Raises the errors of both servers."""
    topic = _log(pipeline).dead_letters
    letters: dict[str, Letter] = {}
    async for batch in logs.records(topic, await logs.bounds(topic)):
        for record in batch:
            letter = _parse_letter(record)
            letters.setdefault(letter.origin, letter)
    settled = set(await client.hkeys(MetricKeys(pipeline).letters))  # type: ignore[misc]
    return [letter for origin, letter in letters.items() if origin not in settled]


def _log(pipeline: Pipeline) -> Log:
    assert pipeline.info.log is not None, f"{pipeline} has a topic"
    return pipeline.info.log


def _parse_letter(record: Record) -> Letter:
    origin = (record.key or b"").decode(errors="replace")
    try:
        content = json.loads(record.value or b"")
    except (ValueError, RecursionError):
        content = None
    if not isinstance(content, dict):
        content = {"reason": "this letter itself cannot be read", "text": None}
    text = content.get("text")
    return Letter(
        id=origin,
        origin=origin,
        reason=str(content.get("reason", "")),
        detail="",
        # Others' producers may date a record as they like.
        time_us=min(max(0, record.time_ms * 1000), MAX_TIME_US),
        fields=_json_object(text),
        text=text if isinstance(text, str) else "",
    )


def _json_object(text: object) -> dict[str, Any]:
    try:
        fields = json.loads(text) if isinstance(text, str) else None
    except (ValueError, RecursionError):
        return {}
    return fields if isinstance(fields, dict) else {}


async def requeue(
    servers: Servers, pipeline: Pipeline, chosen: list[Letter], repairs: Mapping[str, str]
) -> list[str]:
    """Put letters back with one producer; return the place of each new record, or ``kept: …`` with the reason.

    Producing comes before remembering. A crash in between leaves the letter listed; requeued once more it has the
    same message id, so that the second one is dropped as a repeat (by v3 within the horizon).

    Raises UnreachableError and the errors of the other servers; what was remembered by then was sent.
    """
    kafka, topic = servers.settings.kafka_servers, _log(pipeline).name
    producer = AIOKafkaProducer(
        **kafka_options(servers.settings), client_id="coffee-dead-letters", acks="all", enable_idempotence=True
    )
    outcomes = []
    try:
        with naming_kafka(kafka):
            await producer.start()
        for letter in chosen:
            try:
                key, value = await _unique_record(servers.database, pipeline, letter, repairs)
            except LetterError as error:
                outcomes.append(f"{KEPT}: {error}")
                continue
            with naming_kafka(kafka):
                sent = await producer.send_and_wait(topic, value, key)
            await mark_settled(servers.client, pipeline, letter, "requeued")
            outcomes.append(f"requeued as {sent.partition}:{sent.offset}")
    finally:
        await producer.stop()
    return outcomes


async def _unique_record(
    connection: Database, pipeline: Pipeline, letter: Letter, repairs: Mapping[str, str]
) -> tuple[bytes, bytes]:
    key, value = record_of(pipeline, letter, repairs)
    order = read_order(value)
    if order is None:
        return key, value
    # The first is kept of two orders under one id: a repaired letter must not vanish behind another order.
    (row,) = await look_up(connection, pipeline, [(letter.origin, order)])
    return record_of(pipeline, letter, repairs, taken=bool(row["found"] and not row["same"]))


def record_of(
    pipeline: Pipeline, letter: Letter, repairs: Mapping[str, str], taken: bool = False
) -> tuple[bytes, bytes]:
    """Return key and value of the record that puts a letter back, with a new id where its own is taken or none.

    Raises LetterError where nothing can put it back.
    """
    if not letter.fields and not repairs:
        raise LetterError("it is no JSON object: give its fields by --set, or --drop it")
    if len(letter.text) >= LONGEST_TEXT:
        raise LetterError(f"it was cut off at {LONGEST_TEXT:,} characters: it can only be dropped")
    fields = {**letter.fields, **repairs}
    new_id = conflicting_id(pipeline, fields) if taken else requeued_id(pipeline, letter, repairs)
    if new_id is not None and "message_id" not in repairs:
        fields["message_id"] = str(new_id)
    return str(fields["message_id"]).encode(), json.dumps(fields, separators=(",", ":")).encode()


async def mark_settled(client: Redis, pipeline: Pipeline, letter: Letter, how: str) -> bool:
    """Remember what became of a letter; False where somebody was first. Raises an error of Redis."""
    return bool(await client.hsetnx(MetricKeys(pipeline).letters, letter.origin, how))  # type: ignore[misc]
