"""What ``coffee reconcile``, ``replay`` and ``dead-letters`` do for v2."""

import asyncio
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from redis.asyncio import Redis

from backend.clients.servers import Servers, open_servers
from backend.pipelines.balance import read_shown, unlogged
from backend.pipelines.dead_letters import LOST_THE_RACE, Letter, choose, requeued_id
from backend.pipelines.repair import Mended, Progress
from backend.pipelines.v2_streams import reconcile as reconciliation
from backend.pipelines.v2_streams.audit import audit_v2
from backend.pipelines.v2_streams.batch import FROM_THE_FIRST, METRICS, MIN_IDLE_MS, MOST_STUCK, MOST_VISITED
from coffee_core.errors import CoffeeError
from coffee_core.keys import DEAD_STREAM, STREAM, STREAM_GROUP
from coffee_core.pipelines import Pipeline
from coffee_core.pipelines.constants import V2
from coffee_core.resources import lua
from coffee_core.settings import Settings

# ``coffee reconcile v2``, and with ``--new-balance``.

_ATTEMPTS = 20
_PAUSE_S = 0.25


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


async def begin_new_balance(settings: Settings) -> int:
    """Take what the log does not account for as given; return how many orders that are, 0 where it was whole.

    This is for a log that was lost: what a flushed stream held unprocessed is gone and cannot be counted. All that
    can be had back is an audit that sees what happens from now on; it notes from then on that it began so.

    Rows that were put in past the log are not among them: they stay wrong. Orders may keep flowing. Raises
    UnreachableError, and CoffeeError where a server refuses or others keep doing the same.
    """
    async with open_servers(settings) as servers:
        for _ in range(_ATTEMPTS):
            short = await _try_new_balance(servers)
            if short is not None:
                return short
    raise CoffeeError("others kept beginning a new balance, too: try again")


async def _try_new_balance(servers: Servers) -> int | None:
    """Return what ``begin_new_balance`` does, or None where somebody else has begun one meanwhile."""
    _, _, counters = await read_shown(servers.client, METRICS)
    balance = await audit_v2(servers, unique_timestamps=False)
    short = balance.log_short - await unlogged(servers.database, V2)
    if short <= 0:
        return 0
    script = servers.client.register_script(lua("backend.pipelines.v2_streams", "new_balance"))
    noted = await script(keys=(METRICS.counters,), args=(counters.get("written_off", ""), short))
    return short if noted else None


# ``coffee replay v2``: what dead workers have left pending is claimed at once, not after some seconds; and so is
# what is pending nowhere, which a worker looks for, too.

DEAD_AFTER_MS = 1_500
"""A worker reads every 500 ms; one that has missed three of its reads is taken for dead."""
_WATCH_FOR_S = 3.0
"""Seconds for which a consumer that may have died just now is watched."""
_WITHIN_S = 30.0
"""Seconds without progress after which the command gives up."""
_STEP_S = 0.1
_ASKED_AT_ONCE = 1_000


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
    stuck: int = 0
    """How many of them were delivered, or passed over, and pending nowhere."""

    @property
    def summary(self) -> str:
        """The result in one sentence."""
        left = [f"{count:,} of {name}" for name, count in self.consumers.items()]
        whose = ", ".join([*left, *([f"{self.stuck:,} pending nowhere"] if self.stuck else [])])
        what = "entries" if self.stuck else "pending entries"
        taken = f"{self.pipeline}: {self.entries:,} {what} taken over" + (f" ({whose})" if whose else "")
        return f"{taken} in {self.seconds} s"

    def as_json(self) -> dict[str, object]:
        """Return the result for a program."""
        return asdict(self)


async def replay_v2(settings: Settings, progress: Progress, within_s: float = _WITHIN_S) -> TakenOver:
    """Let go of what dead workers have left pending, and return once running ones have finished it.

    So with entries that are pending nowhere (``stuck.lua``), which become pending for it. The entries are made to
    look old, and a running worker claims them when it next looks for such, as it would anyway. A consumer that
    only seemed dead loses nothing by it: an entry counts where its acknowledgement takes effect, once.

    Raises UnreachableError, and CoffeeError where no worker takes them over; they stay pending then.
    """
    started_s = time.monotonic()
    async with open_servers(settings) as servers:
        released = await _release_pending(servers.client)
        stuck = await _release_stuck(servers.client)
        await _wait_until_finished(servers.client, [*released, *stuck], progress, within_s)
    seconds = round(time.monotonic() - started_s, 1)
    return TakenOver(V2, len(released) + len(stuck), dict(Counter(released.values())), seconds, len(stuck))


async def _release_pending(client: Redis) -> dict[str, str]:
    """Return entry → its dead consumer, of the entries let go of."""
    script = client.register_script(lua("backend.pipelines.v2_streams", "replay"))
    released: dict[str, str] = {}
    give_up_at_s = time.monotonic() + _WATCH_FOR_S
    while await client.exists(STREAM):
        kept, *flat = await script(keys=(STREAM,), args=(STREAM_GROUP, DEAD_AFTER_MS, MIN_IDLE_MS))
        released |= dict(zip(flat[::2], flat[1::2], strict=True))
        if released or not kept or time.monotonic() > give_up_at_s:
            break
        await asyncio.sleep(_STEP_S)
    return released


async def _release_stuck(client: Redis) -> list[str]:
    """Return the entries that were pending nowhere and are pending now."""
    script = client.register_script(lua("backend.pipelines.v2_streams", "claim_stuck"))
    stuck: list[str] = []
    start = FROM_THE_FIRST
    while start != "-" and await client.exists(STREAM):
        args = (STREAM_GROUP, "", MIN_IDLE_MS, start, MOST_STUCK, MOST_VISITED)
        start, _, *claimed = await script(keys=(STREAM,), args=args)
        stuck += claimed
    return stuck


async def _wait_until_finished(client: Redis, entry_ids: list[str], progress: Progress, within_s: float) -> None:
    waiting = entry_ids
    give_up_at_s = time.monotonic() + within_s
    while waiting:
        asked, rest = waiting[:_ASKED_AT_ONCE], waiting[_ASKED_AT_ONCE:]
        pipe = client.pipeline(transaction=False)
        for entry_id in asked:
            pipe.xpending_range(STREAM, STREAM_GROUP, entry_id, entry_id, 1)
        answers: list[Any] = await pipe.execute()
        still = [entry_id for entry_id, pending in zip(asked, answers, strict=True) if pending]
        if len(still) < len(asked):
            give_up_at_s = time.monotonic() + within_s
        waiting = still + rest
        progress(len(entry_ids) - len(waiting), len(entry_ids))
        if waiting and time.monotonic() > give_up_at_s:
            raise CoffeeError(
                f"{len(waiting):,} of {len(entry_ids):,} entries are let go of and no worker finishes them: does a"
                " stream-worker run? `coffee status` tells"
            )
        if still:
            await asyncio.sleep(_STEP_S)


# ``coffee dead-letters v2``: entries of ``orders:dead``, moved back or dropped by one script each.

_LAST_ENTRY_ID = "18446744073709551615-18446744073709551615"
_REQUEUE_KEYS = (STREAM, DEAD_STREAM, METRICS.counters)
_PAGE = 500
_WORKER_FIELDS = ("reason", "detail", "origin")
"""Fields that the worker has added to those of the entry."""


async def settle_dead_letters(
    settings: Settings, ids: tuple[str, ...], action: str | None, repairs: Mapping[str, str]
) -> list[tuple[Letter, str]]:
    """List, requeue or drop letters. Raises LetterError, UnreachableError and CoffeeError."""
    outcomes = []
    async with open_servers(settings) as servers:
        for letter in choose(await read_letters(servers.client), ids):
            outcome = ""
            if action == "requeue":
                entry_id = await requeue(servers.client, letter, repairs)
                outcome = LOST_THE_RACE if entry_id is None else f"requeued as {entry_id}"
            elif action == "drop":
                outcome = "dropped" if await drop(servers.client, letter) else LOST_THE_RACE
            outcomes.append((letter, outcome))
    return outcomes


async def read_letters(client: Redis) -> list[Letter]:
    """Return the letters, oldest first. Raises an error of Redis."""
    letters: list[Letter] = []
    start = "-"
    while page := await client.xrange(DEAD_STREAM, start, "+", count=_PAGE):
        letters += [_parse_letter(str(entry_id), fields) for entry_id, fields in page]
        if letters[-1].id == _LAST_ENTRY_ID:
            break  # nothing can come after it, and Redis refuses to look there
        start = f"({letters[-1].id}"
    return letters


def _parse_letter(entry_id: str, fields: Mapping[str, Any]) -> Letter:
    # A dictionary keeps the last of several fields of one name: that is the worker's.
    own = {name: value for name, value in fields.items() if name not in _WORKER_FIELDS}
    reason, detail, origin = (str(fields.get(name, "")) for name in _WORKER_FIELDS)
    return Letter(entry_id, origin, reason, detail, int(entry_id.partition("-")[0]) * 1000, own)


async def requeue(client: Redis, letter: Letter, repairs: Mapping[str, str]) -> str | None:
    """Move a letter to the stream, its fields repaired; return its new entry id, None where somebody was first.

    Raises an error of Redis; afterwards it has been moved or not, and can be moved again if it is still there.
    """
    changes = dict(repairs)
    if "message_id" not in changes and (new_id := requeued_id(V2, letter, repairs)) is not None:
        changes["message_id"] = str(new_id)
    flat = [text for pair in changes.items() for text in pair]
    answer: Any = await client.register_script(lua("backend.pipelines.v2_streams", "requeue"))(
        keys=_REQUEUE_KEYS, args=(letter.id, "requeue", *flat)
    )
    return None if answer is None else str(answer)


async def drop(client: Redis, letter: Letter) -> bool:
    """Drop a letter for good; False where somebody was first. Raises an error of Redis."""
    answer: Any = await client.register_script(lua("backend.pipelines.v2_streams", "requeue"))(
        keys=_REQUEUE_KEYS, args=(letter.id, "drop")
    )
    return answer is not None
