"""v3's dead letters: records of ``orders.dead``. A log forgets nothing: Redis remembers what was dealt with.

Producing comes before remembering. A crash in between leaves the letter listed; requeued once more it has the same
message id, so that the job drops the second one as a repeat.
"""

import json
from collections.abc import Mapping
from typing import Any

from aiokafka import AIOKafkaProducer
from redis.asyncio import Redis

from backend.lab.audit_kafka import KafkaLogs, Record, naming_kafka
from backend.lab.dead_letters import Letter, LetterError, requeued_id
from coffee_core.keys import DEAD_TOPIC, TOPIC, MetricKeys
from coffee_core.pipelines import Pipeline
from coffee_core.settings import Settings

HANDLED = MetricKeys(Pipeline.V3).counters.rpartition(":")[0] + ":letters"
"""Hash: origin → ``requeued`` or ``dropped``."""
_LONGEST_TEXT = 100_000
"""Characters that the job keeps of a value."""


async def letters(logs: KafkaLogs, client: Redis) -> list[Letter]:
    """Return the letters not dealt with yet, each once, oldest first. Raises the errors of both servers."""
    found: dict[str, Letter] = {}
    async for batch in logs.records(DEAD_TOPIC, await logs.bounds(DEAD_TOPIC)):
        for record in batch:
            letter = _letter(record)
            found.setdefault(letter.origin, letter)
    handled: Any = await client.hkeys(HANDLED)  # type: ignore[misc]
    return [letter for origin, letter in found.items() if origin not in set(handled)]


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


def record_of(letter: Letter, repairs: Mapping[str, str]) -> tuple[bytes, bytes]:
    """Return key and value of the record that puts a letter back. Raises LetterError where nothing can."""
    if not letter.fields and not repairs:
        raise LetterError(f"{letter.id} is no JSON object: give its fields by --set, or --drop it")
    if len(letter.text) >= _LONGEST_TEXT:
        raise LetterError(f"{letter.id} was cut off at {_LONGEST_TEXT:,} characters: it can only be dropped")
    fields = {**letter.fields, **repairs}
    if "message_id" not in repairs and (new_id := requeued_id(Pipeline.V3, letter)) is not None:
        fields["message_id"] = str(new_id)
    return str(fields["message_id"]).encode(), json.dumps(fields, separators=(",", ":")).encode()


class Requeuer:
    """Puts letters back with one producer."""

    def __init__(self, settings: Settings, client: Redis) -> None:
        self._settings = settings
        self._client = client

    async def requeue(self, chosen: list[Letter], repairs: Mapping[str, str]) -> list[str]:
        """Return the places of the new records, partition:offset. Raises LetterError before anything is sent.

        Raises UnreachableError and errors of Redis; what was remembered by then was sent.
        """
        records = [(letter, *record_of(letter, repairs)) for letter in chosen]
        producer = AIOKafkaProducer(
            bootstrap_servers=self._settings.kafka_servers,
            client_id="coffee-dead-letters",
            acks="all",
            enable_idempotence=True,
        )
        places = []
        try:
            with naming_kafka(self._settings.kafka_servers):
                await producer.start()
            for letter, key, value in records:
                with naming_kafka(self._settings.kafka_servers):
                    sent = await producer.send_and_wait(TOPIC, value, key)
                await handled(self._client, letter, "requeued")
                places.append(f"{sent.partition}:{sent.offset}")
        finally:
            await producer.stop()
        return places


async def handled(client: Redis, letter: Letter, how: str) -> bool:
    """Remember that a letter was dealt with; False where it was before. Raises an error of Redis."""
    return bool(await client.hsetnx(HANDLED, letter.origin, how))  # type: ignore[misc]
