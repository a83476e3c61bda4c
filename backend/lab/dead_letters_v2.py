"""v2's dead letters: entries of the stream ``orders:dead``, moved back or dropped by one script each."""

from collections.abc import Mapping
from typing import Any

from redis.asyncio import Redis

from backend.lab.dead_letters import Letter, requeued_id
from backend.lab.resources import lua
from coffee_core.keys import DEAD_STREAM, STREAM, MetricKeys
from coffee_core.pipelines import Pipeline

_KEYS = (STREAM, DEAD_STREAM, MetricKeys(Pipeline.V2).counters)
_PAGE = 500
_OF_THE_WORKER = ("reason", "detail", "origin")


async def letters(client: Redis) -> list[Letter]:
    """Return the letters, oldest first. Raises an error of Redis."""
    found: list[Letter] = []
    start = "-"
    while page := await client.xrange(DEAD_STREAM, start, "+", count=_PAGE):
        found += [_letter(str(entry_id), fields) for entry_id, fields in page]
        start = f"({found[-1].id}"
    return found


def _letter(entry_id: str, fields: Mapping[str, Any]) -> Letter:
    # A dictionary keeps the last of several fields of one name: that is the worker's.
    kept = {name: value for name, value in fields.items() if name not in _OF_THE_WORKER}
    reason, detail, origin = (str(fields.get(name, "")) for name in _OF_THE_WORKER)
    return Letter(entry_id, origin, reason, detail, int(entry_id.partition("-")[0]) * 1000, kept)


async def requeue(client: Redis, letter: Letter, repairs: Mapping[str, str]) -> str | None:
    """Move a letter to the stream, its fields repaired; return its new entry id, None where somebody was first.

    Raises an error of Redis; afterwards it has been moved or not, and can be moved again if it is still there.
    """
    changes = dict(repairs)
    if "message_id" not in changes and (new_id := requeued_id(Pipeline.V2, letter)) is not None:
        changes["message_id"] = str(new_id)
    flat = [text for pair in changes.items() for text in pair]
    answer: Any = await client.register_script(lua("requeue"))(keys=_KEYS, args=(letter.id, "requeue", *flat))
    return None if answer is None else str(answer)


async def drop(client: Redis, letter: Letter) -> bool:
    """Drop a letter for good; False where somebody was first. Raises an error of Redis."""
    answer: Any = await client.register_script(lua("requeue"))(keys=_KEYS, args=(letter.id, "drop"))
    return answer is not None
