"""One fault from beginning to end: load, the fault, the way back, the comparison."""

import asyncio
import signal
import time
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from typing import Any, Protocol
from uuid import UUID

from backend.clients.servers import Servers, UnreachableError, open_servers
from backend.lab.chaos.actions import inflict
from backend.lab.chaos.client import Client, Watcher
from backend.lab.chaos.faults import Deed, Fault
from backend.lab.chaos.report import Cell
from backend.lab.chaos.site import Done, NotReadyError, Scene, Site
from backend.lab.chaos.verdict import Row, Verdict, compare
from backend.pipelines.audit import audit
from backend.pipelines.balance import Balance, difference, is_zero, read_shown, sentence, stored
from backend.stack.polling import poll
from coffee_core.clock import from_datetime, to_datetime
from coffee_core.errors import CoffeeError
from coffee_core.keys import MetricKeys
from coffee_core.pipelines import Pipeline
from coffee_core.resources import sql
from coffee_core.settings import Settings
from coffee_core.totals import Totals

# What a run says while it goes on: a sentence for people, and beside it facts for a program that follows it.


class Say(Protocol):
    """Takes one line of progress; never blocks."""

    def __call__(self, text: str, **facts: object) -> None:
        """Take a sentence.

        Facts are plain values: ``moment`` (``struck`` with ``lasts_s``, ``over``), or ``pipeline`` with
        ``visible_again_s`` once its orders are visible again, or ``cell``, one pipeline's verdict.
        """
        ...


# Waits until a pipeline has digested what it was sent, and then compares.


_ROWS = sql("backend.lab.chaos", "rows")
_SETTLE_STEP_S = 0.25


@dataclass(frozen=True, slots=True)
class Settled:
    """One pipeline at rest, or as it was when the time was up."""

    verdict: Verdict
    drift: Totals
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
        await asyncio.sleep(_SETTLE_STEP_S)


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
        await asyncio.sleep(_SETTLE_STEP_S)


async def _balance(settings: Settings, pipeline: Pipeline) -> Balance:
    (balance,) = await audit(settings, [pipeline], settle_s=0)
    return balance


async def _look(servers: Servers, client: Client) -> tuple[Verdict, Totals]:
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


# A fault alone: whoever sends orders goes on, and afterwards each pipeline's own log is the witness.


_UP_WITHIN_S = 120.0
_BALANCED_WITHIN_S = 60.0
_MOVING_WITHIN_S = 20.0
"""v1 moves every 10 s where nothing else is set; where nobody sends an order, this is waited for nothing."""
_BARE_STEP_S, _LOOK_S = 0.25, 0.05


@dataclass(frozen=True, slots=True)
class Aftermath:
    """How one pipeline stands after a fault."""

    fault: str
    balance: Balance
    visible_s: float | None
    """Seconds from the fault until everything was back and its total moved; None where nobody sent an order."""
    still_s: float
    """Longest time after the fault in which its total did not move, in seconds."""
    problem: str
    """What did not come back; empty where everything did."""

    @property
    def exact(self) -> bool:
        """Whether everything came back and the pipeline's own log balances."""
        return not self.problem and self.balance.balanced

    def sentence(self) -> str:
        """Return it in one line."""
        moving = f"moving again after {self.visible_s:.2f} s · standstill {self.still_s:.2f} s"
        seen = "nobody sent an order" if self.visible_s is None else moving
        return f"{sentence(self.balance)} · {seen}" + (f" · {self.problem}" if self.problem else "")

    def as_json(self) -> dict[str, Any]:
        """Return what it shares with a cell of the matrix."""
        return {
            "fault": self.fault,
            "pipeline": str(self.balance.pipeline),
            "exact": self.exact,
            "visible_again_s": None if self.visible_s is None else round(self.visible_s, 3),
            "standstill_s": round(self.still_s, 3),
            "sentence": self.sentence(),
        }


async def strike(
    fault: Fault, site: Site, pipelines: Sequence[Pipeline], lasts_s: float, say: Say
) -> list[Aftermath]:
    """Inflict a fault without any load of our own; return how each pipeline stands afterwards.

    Raises NotReadyError where the stack is not in order before, or where the fault is made of our own load.
    """
    if fault.deed is Deed.STORM:
        raise NotReadyError(f"{fault.name} repeats orders of its own load: it cannot go without one")
    if not await site.all_up(_UP_WITHIN_S):
        raise NotReadyError(f"not up: {', '.join(site.down())}: `coffee status` tells")

    struck_s = 0.0
    async with Watcher(site.settings.redis_url, pipelines) as watcher:

        def struck() -> None:
            nonlocal struck_s
            struck_s = time.monotonic()
            watcher.struck({})
            say(f"{fault.name}: now", moment="struck", lasts_s=lasts_s if fault.lasts else None)

        done = await inflict(fault, Scene(site, {}, struck, tuple(pipelines)), lasts_s)
        say(f"{fault.name}: {done.what}; waiting for the pipelines", moment="over")
        visible_s = await _moving(fault, watcher, struck_s, say)
        balances = await _balanced(site, pipelines)
        still_s = watcher.still_s
    return [
        Aftermath(fault.name, each, visible_s.get(each.pipeline), still_s[each.pipeline], done.problem)
        for each in balances
    ]


async def _moving(fault: Fault, watcher: Watcher, struck_s: float, say: Say) -> dict[Pipeline, float]:
    """Return when the total of each pipeline moved again, in seconds since the fault; of some perhaps never."""
    before, moved_s = dict(watcher.moves), dict[Pipeline, float]()

    def all_moved() -> bool:
        watcher.check()
        for pipeline in before.keys() - moved_s.keys():
            if watcher.moves[pipeline] > before[pipeline]:
                moved_s[pipeline] = time.monotonic() - struck_s
                text = f"{fault.name}: {pipeline} moves again after {moved_s[pipeline]:.2f} s"
                say(text, pipeline=str(pipeline), visible_again_s=round(moved_s[pipeline], 3))
        return moved_s.keys() == before.keys()

    await poll(all_moved, _LOOK_S, _MOVING_WITHIN_S)
    return moved_s


async def _balanced(site: Site, pipelines: Sequence[Pipeline]) -> list[Balance]:
    """Look until every pipeline balances, or the time is up; a server may still be on its way back."""
    deadline = time.monotonic() + _BALANCED_WITHIN_S
    while True:
        try:
            balances = await audit(site.settings, pipelines, settle_s=0)
        except UnreachableError:
            if time.monotonic() > deadline:
                raise
        else:
            if all(each.balanced for each in balances) or time.monotonic() > deadline:
                return balances
        await asyncio.sleep(_BARE_STEP_S)


_STEP_S = 0.1
_QUIET_WITHIN_S = 60.0
_WARM_S, _WARM_WITHIN_S = 1.0, 60.0
_VISIBLE_WITHIN_S = 90.0
_SETTLED_WITHIN_S = 120.0
_MOST_REASONS = 3


@dataclass(frozen=True, slots=True)
class Plan:
    """How a fault is to be run."""

    pipelines: Sequence[Pipeline]
    """Pipelines under load, each a cell of its own."""
    rate_per_s: float
    """Orders a second offered to each."""
    lasts_s: float
    """Seconds for which a lasting fault lasts."""
    bare: bool = False
    """Whether the fault comes alone, without any load of our own."""


async def run(fault: Fault, site: Site, plan: Plan, say: Say) -> list[Cell]:
    """Run one fault under load and return a cell for each pipeline.

    Raises NotReadyError where the stack is not in order before.
    """
    if not await site.all_up(_UP_WITHIN_S):
        raise NotReadyError(f"not up: {', '.join(site.down())}: `coffee status` tells")
    before = {each: await quiet(site.settings, each, _QUIET_WITHIN_S) for each in plan.pipelines}
    async with AsyncExitStack() as stack:

        def seen(pipeline: Pipeline, after_s: float) -> None:
            text = f"{fault.name}: {pipeline} visible again after {after_s:.2f} s"
            say(text, pipeline=str(pipeline), visible_again_s=round(after_s, 3))

        watcher = await stack.enter_async_context(Watcher(site.settings.redis_url, plan.pipelines, seen))
        clients = {
            each: await stack.enter_async_context(Client(site.settings.api_url, each, site.settings.authorization))
            for each in plan.pipelines
        }
        say(f"{fault.name}: {plan.rate_per_s:g} orders/s each into {', '.join(plan.pipelines)}")
        done = await _under_load(fault, site, plan, clients, watcher, before, say)
        stills = dict(watcher.still_s)
        say(f"{fault.name}: waiting for the last answers")
    say(f"{fault.name}: comparing row by row")
    cells = []
    for pipeline, client in clients.items():
        settled = await settle(site.settings, client, _SETTLED_WITHIN_S)
        cell = _cell(fault, settled, before[pipeline], done, client, watcher.visible_s.get(pipeline))
        cells.append(replace(cell, still_s=stills[pipeline]))
    return cells


async def _under_load(
    fault: Fault,
    site: Site,
    plan: Plan,
    clients: Mapping[Pipeline, Client],
    watcher: Watcher,
    before: Mapping[Pipeline, Balance],
    say: Say,
) -> Done:
    for client in clients.values():
        client.run_at(plan.rate_per_s)
    warm = {each: before[each].shown.orders + int(plan.rate_per_s * _WARM_S) for each in clients}

    def check() -> None:
        watcher.check()
        for client in clients.values():
            client.check()

    def behind() -> list[str]:
        check()
        return [
            f"{each} has {client.waiting:,} requests waiting and shows {watcher.shown[each]:,} of {warm[each]:,}"
            for each, client in clients.items()
            if client.waiting > plan.rate_per_s * _WARM_S or watcher.shown[each] <= warm[each]
        ]

    if not await poll(lambda: not behind(), _STEP_S, _WARM_WITHIN_S):
        raise NotReadyError(
            f"this machine does not keep up with {plan.rate_per_s:g} orders/s into each of {len(clients)}"
            f" pipelines, before anything was broken: {'; '.join(behind()) or 'it just did'}: try a lower --rate"
        )
    if failed := [reason for client in clients.values() for reason in client.failures()]:
        raise NotReadyError(f"requests fail before anything was broken ({failed[0]}): try a lower --rate")

    def struck() -> None:
        watcher.struck({each: before[each].shown.orders + client.begun for each, client in clients.items()})
        say(f"{fault.name}: now", moment="struck", lasts_s=plan.lasts_s if fault.lasts else None)

    done = await inflict(fault, Scene(site, clients, struck, tuple(clients)), plan.lasts_s)
    say(f"{fault.name}: {done.what}", moment="over")

    moves = dict(watcher.moves)

    def visible() -> bool:
        check()
        # Moving now, too: an outage may begin after the first order that came through.
        return watcher.visible_s.keys() >= set(clients) and all(
            watcher.moves[each] > moves[each] for each in clients
        )

    if not await poll(visible, _STEP_S, _VISIBLE_WITHIN_S):
        return replace(done, problem=done.problem or "nothing new became visible after it")
    return done


def _cell(
    fault: Fault, settled: Settled, before: Balance, done: Done, client: Client, visible_s: float | None
) -> Cell:
    wrong, notes = [done.problem] if done.problem else [], []
    pipeline, verdict, balance = client.pipeline, settled.verdict, settled.balance
    if not balance.balanced:
        wrong.append(f"its own log does not balance: {sentence(balance)}")
    elif balance.in_flight:
        wrong.append(f"{balance.in_flight:,} orders are still in flight after {_SETTLED_WITHIN_S:g} s")
    if visible_s is None:
        wrong.append(f"no order from after the fault was visible within {_VISIBLE_WITHIN_S:g} s")
    expected = done.poison if pipeline == fault.log else 0
    letters = (balance.dead_letters or 0) - (before.dead_letters or 0)
    if letters != expected:
        wrong.append(f"{letters:,} dead letters where {expected:,} belong")
    elif expected:
        notes.append(f"{expected:,} dead letters, each poison message one: `coffee dead-letters {pipeline}`")
    told = "; ".join(client.failures()[:_MOST_REASONS])
    if told and pipeline not in fault.may_refuse:
        wrong.append(f"this fault must not fail requests of {pipeline}; they were told: {told}")
    elif told:
        notes.append(f"failed requests were told: {told}")
    return Cell(fault.name, pipeline, verdict, settled.drift, visible_s, tuple(wrong), tuple(notes))


# Several faults one after the other, until they are through or somebody has had enough.


@dataclass(slots=True)
class Result:
    """What has come of a run of one or several faults."""

    cells: list[Cell | Aftermath] = field(default_factory=list)
    """Every cell that was run to its end; an aftermath where there was no load of our own."""
    failures: list[str] = field(default_factory=list)
    """Why a fault could not be run to its end, with its name."""
    interrupted: bool = False
    """Whether we were asked to end before the last fault."""

    @property
    def exact(self) -> bool:
        """Whether every cell that was run is exact."""
        return all(cell.exact for cell in self.cells)

    @property
    def complete(self) -> bool:
        """Whether every fault was run to its end."""
        return not self.failures and not self.interrupted


async def run_all(faults: Sequence[Fault], site: Site, plan: Plan, say: Say) -> Result:
    """Run the faults one after the other; one that cannot be run to its end does not keep the next from it.

    SIGINT, SIGTERM and SIGHUP end the run in order: what is done is kept, nothing stays frozen or locked.
    """
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    asked = asyncio.create_task(stop.wait())
    result = Result()
    for place, fault in enumerate(faults, 1):
        say(f"{fault.name} ({place} of {len(faults)}): {fault.teaches}")
        try:
            cells = await _unless(asked, fault, site, plan, say)
        except CoffeeError as error:
            result.failures.append(f"{fault.name}: {error}")
            say(f"{fault.name}: {error}")
            continue
        if cells is None:
            result.interrupted = True
            break
        result.cells += cells
        for cell in cells:
            say(f"{fault.name}: {cell.sentence()}", cell=cell.as_json())
    asked.cancel()
    return result


async def _unless(
    asked: "asyncio.Task[bool]", fault: Fault, site: Site, plan: Plan, say: Say
) -> Sequence[Cell | Aftermath] | None:
    """Run one fault; return None where we were asked to end first."""
    running: asyncio.Task[list[Cell]] | asyncio.Task[list[Aftermath]]
    if plan.bare:
        running = asyncio.create_task(strike(fault, site, plan.pipelines, plan.lasts_s, say))
    else:
        running = asyncio.create_task(run(fault, site, plan, say))
    await asyncio.wait({asked, running}, return_when=asyncio.FIRST_COMPLETED)
    if running.done():
        return running.result()
    say(f"{fault.name}: ending: what is frozen goes on, answers on their way are waited for")
    running.cancel()
    await asyncio.wait({running})
    return None
