"""v2's dead letters: entries of the stream ``orders:dead``, moved back or dropped by one script each."""

import asyncio
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from redis.asyncio import Redis

from backend.clients.servers import Servers, open_servers
from backend.pipelines.balance import read_shown, unlogged
from backend.pipelines.dead_letters import Letter, choose, requeued_id
from backend.pipelines.repair import LOST_THE_RACE, Mended, Progress
from backend.pipelines.v2_streams import reconcile as reconciliation
from backend.pipelines.v2_streams.audit import audit_v2
from backend.pipelines.v2_streams.batch import MIN_IDLE_MS
from coffee_core.errors import CoffeeError
from coffee_core.keys import DEAD_STREAM, STREAM, STREAM_GROUP, MetricKeys
from coffee_core.pipelines import Pipeline
from coffee_core.pipelines.constants import V2
from coffee_core.resources import lua
from coffee_core.settings import Settings

# ``coffee replay v2``: what dead workers have left pending is taken over at once, not after some seconds.
#
# Their entries are made to look old, and the next look of a running worker claims them as it would anyway. A
# consumer that only seemed dead loses nothing by it: an entry counts where its acknowledgement takes effect, once.


DEAD_AFTER_MS = 1_500
"""A worker reads every 500 ms; one that has missed three of its reads is taken for dead."""
_LOOK_FOR_S = 3.0
_WITHIN_S = 30.0
_STEP_S = 0.1
_AT_ONCE = 1_000


@dataclass(frozen=True, slots=True)
class TakenOver:
    """Entries that a running worker has taken over and finished."""

    pipeline: Pipeline
    entries: int
    """How many."""
    consumers: dict[str, int]
    """Dead consumer → entries that it had left."""
    seconds: float
    """How long it took."""

    @property
    def summary(self) -> str:
        """One sentence."""
        whose = ", ".join(f"{count:,} of {name}" for name, count in self.consumers.items())
        taken = f"{self.pipeline}: {self.entries:,} pending entries taken over" + (f" ({whose})" if whose else "")
        return f"{taken} in {self.seconds} s"

    def as_json(self) -> dict[str, object]:
        """Return the same for a program."""
        return asdict(self)


async def replay_v2(settings: Settings, tell: Progress, within_s: float = _WITHIN_S) -> TakenOver:
    """Let go of what the dead have left, and return once it is finished.

    Raises UnreachableError, and CoffeeError where no worker takes it over; it stays pending then.
    """
    started = time.monotonic()
    async with open_servers(settings) as servers:
        left = await _let_go(servers.client)
        await _finished(servers.client, list(left), tell, within_s)
    consumers: dict[str, int] = {}
    for consumer in left.values():
        consumers[consumer] = consumers.get(consumer, 0) + 1
    return TakenOver(V2, len(left), consumers, round(time.monotonic() - started, 1))


async def _let_go(client: Redis) -> dict[str, str]:
    """Return entry → its dead consumer. A consumer that may have died just now is looked at for a while."""
    script = client.register_script(lua("backend.pipelines.v2_streams", "replay_v2"))
    left: dict[str, str] = {}
    give_up_at = time.monotonic() + _LOOK_FOR_S
    while await client.exists(STREAM):
        kept, *found = await script(keys=(STREAM,), args=(STREAM_GROUP, DEAD_AFTER_MS, MIN_IDLE_MS))
        left |= dict(zip(found[::2], found[1::2], strict=True))
        if left or not kept or time.monotonic() > give_up_at:
            break
        await asyncio.sleep(_STEP_S)
    return left


async def _finished(client: Redis, ids: list[str], tell: Progress, within_s: float) -> None:
    waiting = ids
    give_up_at = time.monotonic() + within_s
    while waiting:
        looked_at, rest = waiting[:_AT_ONCE], waiting[_AT_ONCE:]
        pipe = client.pipeline(transaction=False)
        for each in looked_at:
            pipe.xpending_range(STREAM, STREAM_GROUP, each, each, 1)
        answers: list[Any] = await pipe.execute()
        still = [each for each, pending in zip(looked_at, answers, strict=True) if pending]
        if len(still) < len(looked_at):
            give_up_at = time.monotonic() + within_s
        waiting = still + rest
        tell(len(ids) - len(waiting), len(ids))
        if waiting and time.monotonic() > give_up_at:
            raise CoffeeError(
                f"{len(waiting):,} of {len(ids):,} entries are let go of and no worker finishes them: does a"
                " stream-worker run? `coffee status` tells"
            )
        if still:
            await asyncio.sleep(_STEP_S)


_KEYS = (STREAM, DEAD_STREAM, MetricKeys(V2).counters)
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
    if "message_id" not in changes and (new_id := requeued_id(V2, letter)) is not None:
        changes["message_id"] = str(new_id)
    flat = [text for pair in changes.items() for text in pair]
    answer: Any = await client.register_script(lua("backend.pipelines.v2_streams", "requeue"))(
        keys=_KEYS, args=(letter.id, "requeue", *flat)
    )
    return None if answer is None else str(answer)


async def drop(client: Redis, letter: Letter) -> bool:
    """Drop a letter for good; False where somebody was first. Raises an error of Redis."""
    answer: Any = await client.register_script(lua("backend.pipelines.v2_streams", "requeue"))(
        keys=_KEYS, args=(letter.id, "drop")
    )
    return answer is not None


async def settle_dead_letters(
    settings: Settings, ids: tuple[str, ...], action: str | None, repairs: Mapping[str, str]
) -> list[tuple[Letter, str]]:
    """List, requeue or drop letters. Raises LetterError, UnreachableError and CoffeeError."""
    done = []
    async with open_servers(settings) as servers:
        for letter in choose(await letters(servers.client), ids):
            outcome = ""
            if action == "requeue":
                entry_id = await requeue(servers.client, letter, repairs)
                outcome = LOST_THE_RACE if entry_id is None else f"requeued as {entry_id}"
            elif action == "drop":
                outcome = "dropped" if await drop(servers.client, letter) else LOST_THE_RACE
            done.append((letter, outcome))
    return done


async def reconcile(settings: Settings) -> Mended:
    """Add what a cut of the metrics lacks. Raises UnreachableError, and CoffeeError where others keep at it."""
    async with open_servers(settings) as servers:
        for _ in range(_ATTEMPTS):
            drift = await reconciliation.reconcile(servers.database, servers.client)
            if drift is not None:
                return Mended(V2, drift.orders, drift.revenue_cents, dict(drift.fields), mended=True)
            await asyncio.sleep(_PAUSE_S)
    raise CoffeeError(
        "another reconciliation is under way (one that was broken off holds its place for two minutes): try again"
    )


# A new balance for v2 after its log was lost: begun from the rows there are, and said ever after.
#
# What a flushed stream held unprocessed is gone and cannot be counted. All that can be had back is an audit that
# sees what happens from now on.


_METRICS = MetricKeys(V2)
_ATTEMPTS = 20
_PAUSE_S = 0.25


async def begin_new_balance(settings: Settings) -> int:
    """Take what the log does not account for as given; return how many orders that are, 0 where it was whole.

    Rows that were put in past the log are not among them: they stay wrong. Orders may keep flowing. Raises
    UnreachableError, and CoffeeError where a server refuses or others keep doing the same.
    """
    async with open_servers(settings) as servers:
        for _ in range(_ATTEMPTS):
            short = await _attempt(servers)
            if short is not None:
                return short
    raise CoffeeError("others kept beginning a new balance, too: try again")


async def _attempt(servers: Servers) -> int | None:
    _, _, counters = await read_shown(servers.client, _METRICS)
    balance = await audit_v2(servers, unique_timestamps=False)
    short = balance.log_short - await unlogged(servers.database, V2)
    if short <= 0:
        return 0
    script = servers.client.register_script(lua("backend.pipelines.v2_streams", "new_balance"))
    return (
        short if await script(keys=(_METRICS.counters,), args=(counters.get("written_off", ""), short)) else None
    )
