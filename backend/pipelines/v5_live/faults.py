"""What can be broken of v5 alone: its projector, what wakes it, and what keeps its counters small."""

import asyncio
import time

from backend.pipelines.faults import Action, Effect, Fault, StrikeContext, part_faults
from coffee_core.resources import sql

_PACKAGE = "backend.pipelines.v5_live"
_CUT_EVERY_S = 1.0


async def lose_notify(context: StrikeContext) -> Effect:
    """End the session that listens, again and again. Raises an error of PostgreSQL."""
    from backend.clients.daemon import open_postgres  # the menu is listed without any driver

    connection = await open_postgres(context.settings.database_url)
    try:
        context.struck()
        end_s, ended = time.monotonic() + context.lasts_s, 0
        while time.monotonic() < end_s:
            ended += await connection.fetchval(sql(_PACKAGE, "end_listeners"))
            await asyncio.sleep(_CUT_EVERY_S)
    finally:
        # Not close(), which would wait for a server that hangs.
        connection.terminate()
    what = f"ended the session that listens {ended} times within {context.lasts_s:g} s"
    return Effect(what, problem=await context.still_down())


async def hold_snapshot(context: StrikeContext) -> Effect:
    """Keep a transaction open that has looked once: nothing updated meanwhile can be cleaned. Raises the same."""
    from backend.clients.daemon import open_postgres

    holder = await open_postgres(context.settings.database_url)
    other = await open_postgres(context.settings.database_url)
    try:
        async with holder.transaction(isolation="repeatable_read"):
            before = await holder.fetchval(sql(_PACKAGE, "size_of_totals"))
            context.struck()
            await asyncio.sleep(context.lasts_s)
            after = await other.fetchval(sql(_PACKAGE, "size_of_totals"))
    finally:
        # The server ends the transaction with the connection, also where we are killed.
        holder.terminate()
        other.terminate()
    what = (
        f"held a snapshot for {context.lasts_s:g} s: v5's totals grew from {before // 1024} to {after // 1024} kB"
    )
    return Effect(what, problem=await context.still_down())


FAULTS = (
    *part_faults(
        "live-projector",
        "nothing is lost with it: the totals are committed, and the next one shows them as they are",
        "the totals go on without it; when it wakes it reads them afresh, and what it had read before is refused",
    ),
    Fault(
        "old-transaction",
        "a forgotten session holds a snapshot: no dead row of a counter can be cleaned, each read walks over them",
        Action.HOLD,
        "live-projector",
        strike=hold_snapshot,
    ),
    Fault(
        "lose-notify",
        "the session that listens is cut off again and again: what is notified meanwhile is lost, but shown",
        Action.CUT,
        "live-projector",
        strike=lose_notify,
    ),
)
