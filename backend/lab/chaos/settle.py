"""Waits until a pipeline has digested what it was sent, and then compares."""

import asyncio
import time
from dataclasses import dataclass
from uuid import UUID

from backend.lab.audit import audit
from backend.lab.audit_balance import Balance
from backend.lab.audit_report import sentence
from backend.lab.audit_rows import stored
from backend.lab.audit_tally import difference, is_zero, read_shown
from backend.lab.chaos.client import Client
from backend.lab.chaos.resources import sql
from backend.lab.chaos.site import NotReadyError
from backend.lab.chaos.verdict import Row, Verdict, compare
from backend.lab.servers import Servers, UnreachableError, open_servers
from coffee_core.clock import from_datetime, to_datetime
from coffee_core.keys import MetricKeys
from coffee_core.pipelines import Pipeline
from coffee_core.settings import Settings
from coffee_core.tally import Tally

_ROWS = sql("rows")
_STEP_S = 0.25


@dataclass(frozen=True, slots=True)
class Settled:
    """One pipeline at rest, or as it was when the time was up."""

    verdict: Verdict
    drift: Tally
    """Shown minus stored."""
    balance: Balance
    """What the pipeline's own log says: a second witness."""


async def quiet(settings: Settings, pipeline: Pipeline, within_s: float) -> Balance:
    """Return the balance of a pipeline once nothing is in flight in it.

    Raises NotReadyError where it is not balanced, or never quiet, within the time: somebody else sends orders, or
    something was wrong before.
    """
    deadline = time.monotonic() + within_s
    while True:
        balance = await _balance(settings, pipeline)
        if balance.balanced and not balance.in_flight and balance.shown == balance.stored:
            return balance
        if time.monotonic() > deadline:
            raise NotReadyError(f"before anything was broken: {sentence(balance)}: see `coffee audit`")
        await asyncio.sleep(_STEP_S)


async def settle(settings: Settings, client: Client, within_s: float) -> Settled:
    """Compare until everything is in step and nothing is in flight, or the time is up.

    Raises UnreachableError where a server is away when the time is up.
    """
    deadline = time.monotonic() + within_s
    while True:
        try:
            # The balance comes first: with nothing in flight before, nothing can join the rows afterwards.
            balance = await _balance(settings, client.pipeline)
            async with open_servers(settings) as servers:
                verdict, drift = await _look(servers, client)
        except UnreachableError:
            if time.monotonic() > deadline:
                raise
        else:
            done = verdict.exact and is_zero(drift) and balance.balanced and not balance.in_flight
            if done or time.monotonic() > deadline:
                return Settled(verdict, drift, balance)
        await asyncio.sleep(_STEP_S)


async def _balance(settings: Settings, pipeline: Pipeline) -> Balance:
    (balance,) = await audit(settings, [pipeline], settle_s=0)
    return balance


async def _look(servers: Servers, client: Client) -> tuple[Verdict, Tally]:
    attempts = client.attempts
    times = [attempt.ordered_at_us for attempt in attempts]
    first, last = to_datetime(min(times)), to_datetime(max(times))
    fetched = await servers.database.fetch(_ROWS, str(client.pipeline), first, last)
    rows = [
        Row(
            UUID(int=row["message_id"].int),
            row["drink"],
            row["store"],
            row["price_cents"],
            from_datetime(row["ordered_at"]),
        )
        for row in fetched
    ]
    shown, _, _ = await read_shown(servers.client, MetricKeys(client.pipeline))
    drift = difference(shown, await stored(servers.database, client.pipeline))
    return compare(attempts, client.answers, rows), drift
