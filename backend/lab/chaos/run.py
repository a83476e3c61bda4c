"""One fault from beginning to end: load, the fault, the way back, the comparison."""

from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace

from backend.lab.audit_balance import Balance
from backend.lab.audit_report import sentence
from backend.lab.chaos.cell import Cell
from backend.lab.chaos.client import Client
from backend.lab.chaos.faults import Fault
from backend.lab.chaos.inflict import inflict
from backend.lab.chaos.say import Say
from backend.lab.chaos.scene import Done, Scene
from backend.lab.chaos.settle import Settled, quiet, settle
from backend.lab.chaos.site import NotReadyError, Site
from backend.lab.chaos.watcher import Watcher
from backend.stack.polling import poll
from coffee_core.pipelines import Pipeline

_STEP_S = 0.1
_UP_WITHIN_S = 120.0
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
    expected = done.poison if pipeline is fault.log else 0
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
