"""One fault from beginning to end: load, the fault, the way back, the comparison; or several in turn."""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol
from uuid import UUID

from backend.clients.servers import Servers, UnreachableError, open_servers
from backend.lab.chaos.actions import Context, strike
from backend.lab.chaos.client import Client, Watcher
from backend.lab.chaos.comparison import Row, Verdict, compare
from backend.lab.chaos.evidence import Evidence, Shelf
from backend.lab.chaos.fault_result import FaultResult
from backend.lab.chaos.target import TargetStack
from backend.lab.recheck.recheck import NoEvidenceError, recheck
from backend.pipelines.audit import audit
from backend.pipelines.balance import Balance, difference, is_zero, read_shown, stored, summary_line
from backend.pipelines.faults import Action, Effect, Fault, NotReadyError
from backend.stack.polling import poll
from backend.stack.stop_signal import stop_on_signals
from coffee_core.clock import from_datetime, to_datetime
from coffee_core.errors import CoffeeError
from coffee_core.keys import MetricKeys
from coffee_core.pipelines import Pipeline
from coffee_core.resources import sql
from coffee_core.settings import Settings
from coffee_core.tasks import end_tasks
from coffee_core.totals import Totals

_POLL_S = 0.1
_QUIET_WITHIN_S = 60.0
_WARM_S, _WARM_WITHIN_S = 1.0, 60.0
_VISIBLE_WITHIN_S = 90.0
_SETTLED_WITHIN_S = 120.0
_SETTLE_POLL_S = 0.25
_BALANCED_WITHIN_S = 60.0
_MOVING_POLL_S = 0.05
_MOVING_WITHIN_S = 20.0
"""v1 moves every 10 s where nothing else is set; where nobody sends an order, the whole time passes."""
_MOST_REASONS = 3


class Announce(Protocol):
    """Takes one line of progress, a sentence for people and facts for a program that follows it; never blocks."""

    def __call__(self, text: str, **facts: object) -> None:
        """Take a sentence.

        Facts are plain values: ``moment`` (``struck`` with ``lasts_s``, ``over``), or ``pipeline`` with
        ``visible_again_s`` once its orders are visible again, or ``cell``, one pipeline's result.
        """
        ...


@dataclass(frozen=True, slots=True)
class Plan:
    """How a fault is to be run."""

    pipelines: Sequence[Pipeline]
    """Pipelines under load, of which each has a result of its own."""
    rate_per_s: float
    """Orders a second offered to each."""
    lasts_s: float
    """Seconds for which a lasting fault lasts."""
    single_fault: bool = False
    """Whether the fault comes alone, without any load of our own."""
    settled_within_s: float = _SETTLED_WITHIN_S
    """Seconds that each pipeline has to come into step afterwards; where orders are lost, it never does."""
    shelf: Shelf | None = None
    """Where the evidence of each fault under load is kept; None: nowhere."""


@dataclass(frozen=True, slots=True)
class SingleFaultResult:
    """How one pipeline stands after a fault without a load of our own."""

    fault: str
    balance: Balance
    visible_s: float | None
    """Seconds from the fault until everything was back and its total moved; None where it did not."""
    still_s: float
    """Longest time after the fault in which its total did not move, in seconds."""
    problem: str
    """What did not come back; empty where everything did."""

    @property
    def exact(self) -> bool:
        """Whether everything came back and the pipeline's own log balances."""
        return not self.problem and self.balance.balanced

    def summary_line(self) -> str:
        """Return it in one line."""
        moving = "its total did not move"
        if self.visible_s is not None:
            moving = f"moving again after {self.visible_s:.2f} s · standstill {self.still_s:.2f} s"
        return f"{summary_line(self.balance)} · {moving}" + (f" · {self.problem}" if self.problem else "")

    def as_json(self) -> dict[str, Any]:
        """Return what it shares with a result under load."""
        return {
            "fault": self.fault,
            "pipeline": str(self.balance.pipeline),
            "exact": self.exact,
            "visible_again_s": None if self.visible_s is None else round(self.visible_s, 3),
            "standstill_s": round(self.still_s, 3),
            "sentence": self.summary_line(),
        }


@dataclass(slots=True)
class RunResult:
    """What has come of a run of one or several faults."""

    results: list[FaultResult | SingleFaultResult] = field(default_factory=list)
    """One for each fault that was run to its end and each pipeline."""
    failures: list[str] = field(default_factory=list)
    """Why a fault could not be run to its end, with its name."""
    interrupted: bool = False
    """Whether we were asked to end before the last fault."""

    @property
    def exact(self) -> bool:
        """Whether every result is exact."""
        return all(result.exact for result in self.results)

    @property
    def complete(self) -> bool:
        """Whether every fault was run to its end."""
        return not self.failures and not self.interrupted


# Several faults, one after the other, until they are through or somebody has had enough.


async def run_all(faults: Sequence[Fault], target: TargetStack, plan: Plan, announce: Announce) -> RunResult:
    """Run the faults one after the other; one that cannot be run to its end does not keep the next from it.

    SIGINT, SIGTERM and SIGHUP end the run in order: what is done is kept, nothing stays frozen or locked.
    """
    stop = asyncio.Event()
    stop_on_signals(stop.set)
    stopped = asyncio.create_task(stop.wait())
    run = RunResult()
    for place, fault in enumerate(faults, 1):
        announce(f"{fault.name} ({place} of {len(faults)}): {fault.teaches}")
        try:
            results = await _run_unless(stopped, fault, target, plan, announce)
        except CoffeeError as error:
            run.failures.append(f"{fault.name}: {error}")
            announce(f"{fault.name}: {error}")
            continue
        if results is None:
            run.interrupted = True
            break
        run.results += results
        for result in results:
            announce(f"{fault.name}: {result.summary_line()}", cell=result.as_json())
    stopped.cancel()
    return run


async def _run_unless(
    stopped: "asyncio.Task[bool]", fault: Fault, target: TargetStack, plan: Plan, announce: Announce
) -> Sequence[FaultResult | SingleFaultResult] | None:
    """Run one fault; return None where we were asked to end first."""
    running: asyncio.Task[list[FaultResult]] | asyncio.Task[list[SingleFaultResult]]
    if plan.single_fault:
        running = asyncio.create_task(run_single_fault(fault, target, plan.pipelines, plan.lasts_s, announce))
    else:
        running = asyncio.create_task(run_under_load(fault, target, plan, announce))
    await asyncio.wait({stopped, running}, return_when=asyncio.FIRST_COMPLETED)
    if running.done():
        return running.result()
    announce(f"{fault.name}: ending: what is frozen goes on, answers on their way are waited for")
    await end_tasks(running)
    if not running.cancelled() and (error := running.exception()) is not None:
        announce(f"{fault.name}: {error}")  # above all what could not be mended
    return None


async def _require_up(target: TargetStack) -> None:
    if not await target.all_up():
        raise NotReadyError(f"not up: {', '.join(target.down())}: `coffee status` tells")


# A fault under load of our own: afterwards the clients' lists are held against the rows.


async def run_under_load(fault: Fault, target: TargetStack, plan: Plan, announce: Announce) -> list[FaultResult]:
    """Run one fault under load and return a result for each pipeline.

    Raises NotReadyError where the stack is not in order before.
    """
    await _require_up(target)
    before = {pipeline: await quiet(target.settings, pipeline, _QUIET_WITHIN_S) for pipeline in plan.pipelines}
    with Evidence(plan.shelf, fault.name) as evidence:
        evidence.describe(plan.rate_per_s, {pipeline: balance.shown for pipeline, balance in before.items()})
        results = await _load_and_strike(fault, target, plan, before, evidence, announce)
        await asyncio.to_thread(evidence.conclude, [result.as_json() for result in results])
    if evidence.folder is None:
        return results
    judged = await asyncio.to_thread(_judge_again, results, evidence.folder)
    evidence.keep_verdict([result.as_json() for result in judged])
    return judged


def _judge_again(results: Sequence[FaultResult], folder: Path) -> list[FaultResult]:
    """Return the results with what the second judge has found in what was kept. Raises CoffeeError."""
    try:
        found = {judged.pipeline: judged.findings for judged in recheck(folder)}
    except NoEvidenceError as error:
        raise CoffeeError(str(error)) from error
    return [
        replace(
            result,
            wrong=(*result.wrong, *(f"judged again: {finding}" for finding in found[result.pipeline])),
        )
        for result in results
    ]


async def _load_and_strike(
    fault: Fault,
    target: TargetStack,
    plan: Plan,
    before: Mapping[Pipeline, Balance],
    evidence: Evidence,
    announce: Announce,
) -> list[FaultResult]:
    async with AsyncExitStack() as stack:

        def on_visible(pipeline: Pipeline, after_s: float) -> None:
            text = f"{fault.name}: {pipeline} visible again after {after_s:.2f} s"
            announce(text, pipeline=str(pipeline), visible_again_s=round(after_s, 3))

        watcher = Watcher(target.settings.redis_url, plan.pipelines, on_visible, evidence.shown)
        await stack.enter_async_context(watcher)
        async with AsyncExitStack() as load:
            clients = {
                pipeline: await load.enter_async_context(
                    Client(target.settings.api_url, pipeline, target.settings.authorization, evidence.request)
                )
                for pipeline in plan.pipelines
            }
            announce(f"{fault.name}: {plan.rate_per_s:g} orders/s each into {', '.join(plan.pipelines)}")
            effect = await _strike_under_load(fault, target, plan, clients, watcher, before, evidence, announce)
            still_s = dict(watcher.still_s)
            announce(f"{fault.name}: waiting for the last answers")
        announce(f"{fault.name}: comparing row by row")
        results = []
        for pipeline, client in clients.items():
            settled = await settle(target.settings, client, plan.settled_within_s)
            evidence.rows(pipeline, settled.rows, settled.shown)
            result = _result(fault, settled, before[pipeline], effect, client, watcher.visible_s.get(pipeline))
            results.append(replace(result, still_s=still_s[pipeline], evidence=evidence.folder))
    return results


async def _strike_under_load(
    fault: Fault,
    target: TargetStack,
    plan: Plan,
    clients: Mapping[Pipeline, Client],
    watcher: Watcher,
    before: Mapping[Pipeline, Balance],
    evidence: Evidence,
    announce: Announce,
) -> Effect:
    for client in clients.values():
        client.run_at(plan.rate_per_s)
    warm = {pipeline: before[pipeline].shown.orders + int(plan.rate_per_s * _WARM_S) for pipeline in clients}

    def check() -> None:
        watcher.check()
        for client in clients.values():
            client.check()

    def behind() -> list[str]:
        check()
        return [
            f"{pipeline} has {client.waiting:,} requests waiting and shows {watcher.shown[pipeline]:,} of"
            f" {warm[pipeline]:,}"
            for pipeline, client in clients.items()
            if client.waiting > plan.rate_per_s * _WARM_S or watcher.shown[pipeline] <= warm[pipeline]
        ]

    if not await poll(lambda: not behind(), _POLL_S, _WARM_WITHIN_S):
        raise NotReadyError(
            f"this machine does not keep up with {plan.rate_per_s:g} orders/s into each of {len(clients)}"
            f" pipelines, before anything was broken: {'; '.join(behind()) or 'it just did'}: try a lower --rate"
        )
    if failed := [reason for client in clients.values() for reason in client.failures()]:
        raise NotReadyError(f"requests fail before anything was broken ({failed[0]}): try a lower --rate")

    def struck() -> None:
        watcher.struck({name: before[name].shown.orders + client.begun for name, client in clients.items()})
        lasts_s = plan.lasts_s if fault.lasts else None
        evidence.fault(fault, "struck", fault.teaches, lasts_s)
        announce(f"{fault.name}: now", moment="struck", lasts_s=lasts_s)

    context = Context(target, clients, struck, tuple(clients), note=evidence.fault)
    # Totals go back some requests before a replay is known to have begun: who watches may see that.
    evidence.fault(fault, "begun", fault.teaches)
    effect = await strike(fault, context, plan.lasts_s)
    evidence.fault(fault, "over", effect.what)
    announce(f"{fault.name}: {effect.what}", moment="over")

    moves = dict(watcher.moves)

    def visible() -> bool:
        check()
        # Moving now, too: an outage may begin after the first order that came through.
        return watcher.visible_s.keys() >= set(clients) and all(
            watcher.moves[pipeline] > moves[pipeline] for pipeline in clients
        )

    if not await poll(visible, _POLL_S, _VISIBLE_WITHIN_S):
        return replace(effect, problem=effect.problem or "nothing new became visible after it")
    return effect


def _result(
    fault: Fault, settled: "Settled", before: Balance, effect: Effect, client: Client, visible_s: float | None
) -> FaultResult:
    wrong, notes = [effect.problem] if effect.problem else [], []
    pipeline, verdict, balance = client.pipeline, settled.verdict, settled.balance
    if not balance.balanced:
        wrong.append(f"its own log does not balance: {summary_line(balance)}")
    elif balance.in_flight:
        wrong.append(f"{balance.in_flight:,} orders are still in flight when the time was up")
    if visible_s is None:
        wrong.append(f"no order from after the fault was visible within {_VISIBLE_WITHIN_S:g} s")
    expected = effect.poison if pipeline == fault.log else 0
    letters = (balance.dead_letters or 0) - (before.dead_letters or 0)
    if letters != expected:
        wrong.append(f"{letters:,} dead letters where {expected:,} belong")
    elif expected:
        notes.append(f"{expected:,} dead letters, each poison message one: `coffee dead-letters {pipeline}`")
    reasons = "; ".join(client.failures()[:_MOST_REASONS])
    if reasons and pipeline not in fault.may_refuse:
        wrong.append(f"this fault must not fail requests of {pipeline}; they were told: {reasons}")
    elif reasons:
        notes.append(f"failed requests were told: {reasons}")
    return FaultResult(
        fault.name,
        pipeline,
        verdict,
        settled.drift,
        visible_s,
        tuple(wrong),
        tuple(notes),
        problem=effect.problem,
        audited_lost=balance.lost + balance.truncated,
    )


# A pipeline before the load, and once it has digested what it was sent.


@dataclass(frozen=True, slots=True)
class Settled:
    """One pipeline at rest, or as it was when the time was up."""

    verdict: Verdict
    drift: Totals
    """Shown minus stored."""
    balance: Balance
    """The balance by the pipeline's own log: a second witness."""
    shown: Totals = field(default_factory=Totals)
    """The six keys."""
    rows: Sequence[Row] = ()
    """What is stored of the client's orders."""


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
            raise NotReadyError(f"before anything was broken: {summary_line(balance)}: see `coffee audit`")
        await asyncio.sleep(_SETTLE_POLL_S)


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
                verdict, drift, shown, rows = await _compare(servers, client)
        except UnreachableError:
            if time.monotonic() > deadline:
                raise
        else:
            done = verdict.exact and is_zero(drift) and balance.balanced and not balance.in_flight
            if done or time.monotonic() > deadline:
                return Settled(verdict, drift, balance, shown, rows)
        await asyncio.sleep(_SETTLE_POLL_S)


async def _balance(settings: Settings, pipeline: Pipeline) -> Balance:
    (balance,) = await audit(settings, [pipeline], settle_s=0)
    return balance


async def _compare(servers: Servers, client: Client) -> tuple[Verdict, Totals, Totals, list[Row]]:
    """Hold the rows against the client's list; return the verdict, shown minus stored, what is shown, the rows."""
    attempts = client.attempts
    times = [attempt.ordered_at_us for attempt in attempts]
    first, last = to_datetime(min(times)), to_datetime(max(times))
    fetched = await servers.database.fetch(sql("backend.lab.chaos", "rows"), str(client.pipeline), first, last)
    rows = [
        Row(
            UUID(int=row["message_id"].int),
            row["drink"],
            row["store"],
            row["price_cents"],
            from_datetime(row["ordered_at"]),
            from_datetime(row["accepted_at"]),
            from_datetime(row["stored_at"]),
            row["source_id"],
        )
        for row in fetched
    ]
    shown, _, _ = await read_shown(servers.client, MetricKeys(client.pipeline))
    drift = difference(shown, await stored(servers.database, client.pipeline))
    return compare(attempts, client.answers, rows), drift, shown, rows


# A fault alone: whoever sends orders goes on, and afterwards each pipeline's own log is the witness.


async def run_single_fault(
    fault: Fault, target: TargetStack, pipelines: Sequence[Pipeline], lasts_s: float, announce: Announce
) -> list[SingleFaultResult]:
    """Strike without any load of our own; return how each pipeline stands afterwards.

    Raises NotReadyError where the stack is not in order before, or where the fault is made of our own load.
    """
    if fault.action is Action.STORM:
        raise NotReadyError(f"{fault.name} repeats orders of its own load: it cannot go without one")
    await _require_up(target)
    letters = await _dead_letters(target, fault) if fault.action is Action.POISON else 0

    struck_s = 0.0
    async with Watcher(target.settings.redis_url, pipelines) as watcher:

        def struck() -> None:
            nonlocal struck_s
            struck_s = time.monotonic()
            watcher.struck({})
            announce(f"{fault.name}: now", moment="struck", lasts_s=lasts_s if fault.lasts else None)

        effect = await strike(fault, Context(target, {}, struck, tuple(pipelines)), lasts_s)
        announce(f"{fault.name}: {effect.what}; waiting for the pipelines", moment="over")
        before, visible_s = dict(watcher.moves), dict[Pipeline, float]()

        def all_move() -> bool:
            watcher.check()
            for pipeline in before.keys() - visible_s.keys():
                if watcher.moves[pipeline] > before[pipeline]:
                    visible_s[pipeline] = time.monotonic() - struck_s
                    text = f"{fault.name}: {pipeline} moves again after {visible_s[pipeline]:.2f} s"
                    announce(text, pipeline=str(pipeline), visible_again_s=round(visible_s[pipeline], 3))
            return visible_s.keys() == before.keys()

        def unfinished(balance: Balance) -> str:
            poison = effect.poison if balance.pipeline == fault.log else 0
            if poison and (gained := (balance.dead_letters or 0) - letters) != poison:
                return f"{gained:,} dead letters where {poison:,} belong"
            if balance.in_flight and balance.pipeline not in visible_s:
                return "orders wait, and none is shown"
            return ""

        def finished(balances: Sequence[Balance]) -> bool:
            all_move()
            return not any(map(unfinished, balances))

        await poll(all_move, _MOVING_POLL_S, _MOVING_WITHIN_S)
        balances = await _wait_until_finished(target, pipelines, finished)
        still_s = watcher.still_s
    return [
        SingleFaultResult(
            fault.name,
            balance,
            visible_s.get(balance.pipeline),
            still_s[balance.pipeline],
            effect.problem or unfinished(balance),
        )
        for balance in balances
    ]


async def _dead_letters(target: TargetStack, fault: Fault) -> int:
    assert fault.log is not None, "poison goes into a log"
    return (await _balance(target.settings, fault.log)).dead_letters or 0


async def _wait_until_finished(
    target: TargetStack, pipelines: Sequence[Pipeline], finished: Callable[[Sequence[Balance]], bool]
) -> list[Balance]:
    """Look until every pipeline balances and is finished with what it has, or the time is up.

    A server may still be on its way back.
    """
    deadline = time.monotonic() + _BALANCED_WITHIN_S
    while True:
        try:
            balances = await audit(target.settings, pipelines, settle_s=0)
        except UnreachableError:
            if time.monotonic() > deadline:
                raise
        else:
            done = finished(balances) and all(balance.balanced for balance in balances)
            if done or time.monotonic() > deadline:
                return balances
        await asyncio.sleep(_SETTLE_POLL_S)
