"""``coffee reconcile``: bring a pipeline's metrics back to what PostgreSQL holds, while orders keep flowing."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

from backend.clients.servers import Servers, open_servers
from backend.pipelines.balance import read_shown
from backend.pipelines.dead_letters import Letter, choose
from backend.pipelines.v1_direct.aggregator import METRICS as V1_METRICS
from backend.pipelines.v1_direct.aggregator import Aggregator
from backend.pipelines.v1_direct.audit import audit_v1
from backend.pipelines.v2_streams import reconcile as v2
from backend.pipelines.v2_streams import repair
from coffee_core.errors import CoffeeError
from coffee_core.pipelines import Pipeline
from coffee_core.pipelines.constants import V1, V2, V3
from coffee_core.settings import Settings
from coffee_core.totals import Totals

_ATTEMPTS = 20
_PAUSE_S = 0.25


@dataclass(frozen=True, slots=True)
class Mended:
    """What a reconciliation found, and whether it is mended now."""

    pipeline: Pipeline
    orders: int
    """Orders added to the metrics (v3: to be added); negative where they showed too many."""
    revenue_cents: int
    """Cents added."""
    fields: dict[str, int]
    """Hash and field, as ``drink_counts.latte`` → what was added; only those that were off."""
    mended: bool
    """False where this needs another step, which ``advice`` names."""
    advice: str = ""
    """What to do where it is not mended."""

    @property
    def drifted(self) -> bool:
        """Something was off."""
        return bool(self.orders or self.revenue_cents or self.fields)


async def reconcile(settings: Settings, pipeline: Pipeline, *, settle_s: float = 5.0) -> Mended:
    """Mend the drift of v1 or v2, or look for one of v3 for up to ``settle_s`` seconds.

    Raises UnreachableError, and CoffeeError where a server refuses or others keep reconciling.
    """
    if pipeline == V3:
        return await _v3(settings, settle_s)
    async with open_servers(settings) as servers:
        return await (_v1(servers) if pipeline == V1 else _v2(servers))


async def _v1(servers: Servers) -> Mended:
    aggregator = Aggregator(servers.database, servers.client)
    for _ in range(_ATTEMPTS):
        before = await audit_v1(servers, unique_timestamps=False)
        _, _, counters = await read_shown(servers.client, V1_METRICS)
        # The schedule is the daemon's: its next run stays where it was announced.
        if await aggregator.run(int(counters.get("next_run_us", 0))):
            return _against(V1, before.drift, mended=True)
    raise CoffeeError("other runs of the aggregator kept coming first: try again")


async def _v2(servers: Servers) -> Mended:
    for _ in range(_ATTEMPTS):
        drift = await v2.reconcile(servers.database, servers.client)
        if drift is not None:
            return Mended(V2, drift.orders, drift.revenue_cents, dict(drift.fields), mended=True)
        await asyncio.sleep(_PAUSE_S)
    raise CoffeeError(
        "another reconciliation is under way (one that was broken off holds its place for two minutes): try again"
    )


async def _v3(settings: Settings, settle_s: float) -> Mended:
    from backend.lab.audit import audit

    (balance,) = await audit(settings, (V3,), settle_s=settle_s)
    found = _against(V3, balance.drift, mended=False)
    return found if found.drifted else _against(V3, balance.drift, mended=True)


def _against(pipeline: Pipeline, drift: Totals, *, mended: bool) -> Mended:
    """Turn a drift, shown minus stored, into what has to be added."""
    hashes = {
        "drink_counts": drift.drink_counts,
        "drink_revenue": drift.drink_revenue_cents,
        "store_counts": drift.store_counts,
        "store_revenue": drift.store_revenue_cents,
    }
    fields = {f"{key}.{name}": -by for key, changes in hashes.items() for name, by in changes.items() if by}
    # A patched key of v3 would be undone: its totals come whole out of the job's state.
    advice = "" if mended else "Flink's state is its truth: `coffee replay v3` counts the whole topic anew"
    return Mended(pipeline, -drift.orders, -drift.revenue_cents, fields, mended, advice)


# Lists, requeues or drops the dead letters of a pipeline.


_FIRST = "somebody else was first"


async def deal_with(
    settings: Settings, pipeline: Pipeline, ids: tuple[str, ...], action: str | None, repairs: Mapping[str, str]
) -> list[tuple[Letter, str]]:
    """Return the chosen letters (all, without ids) and what became of each: '' where they were only listed.

    ``action`` is None, ``requeue`` or ``drop``. Raises LetterError for an id that is not there,
    UnreachableError, and CoffeeError where a server refuses.
    """
    async with open_servers(settings) as servers:
        if pipeline == V2:
            return await _dead_letters_box_v2(servers, ids, action, repairs)
        return await _dead_letters_box_v3(servers, ids, action, repairs)


async def _dead_letters_box_v2(
    servers: Servers, ids: tuple[str, ...], action: str | None, repairs: Mapping[str, str]
) -> list[tuple[Letter, str]]:
    client = servers.client
    done = []
    for letter in choose(await repair.letters(client), ids):
        outcome = ""
        if action == "requeue":
            entry_id = await repair.requeue(client, letter, repairs)
            outcome = _FIRST if entry_id is None else f"requeued as {entry_id}"
        elif action == "drop":
            outcome = "dropped" if await repair.drop(client, letter) else _FIRST
        done.append((letter, outcome))
    return done


async def _dead_letters_box_v3(
    servers: Servers, ids: tuple[str, ...], action: str | None, repairs: Mapping[str, str]
) -> list[tuple[Letter, str]]:
    # Loaded only where there is a Kafka to ask.
    from backend.clients.kafka import open_logs
    from backend.pipelines.v3_kafka import repair

    client = servers.client
    async with open_logs(servers.settings) as logs:
        chosen = choose(await repair.letters(logs, client), ids)
    if action == "requeue":
        return list(zip(chosen, await repair.requeue(servers, chosen, repairs), strict=True))
    if action == "drop":
        firsts = [await repair.handled(client, letter, "dropped") for letter in chosen]
        return [(letter, "dropped" if ours else _FIRST) for letter, ours in zip(chosen, firsts, strict=True)]
    return [(letter, "") for letter in chosen]
