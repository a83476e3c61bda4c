"""What is done for each kind of fault, and undone where it is of a kind that lasts."""

import asyncio
import os
import signal
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace

from redis.asyncio import Redis

from backend.clients.daemon import open_postgres
from backend.clients.servers import naming_servers
from backend.lab.chaos.client import Client
from backend.lab.chaos.restorer import Restorer, frozen
from backend.lab.chaos.target import TargetStack
from backend.lab.chaos.whole_stack import Supervisor, kill_all
from backend.pipelines.faults import Action, Effect, Fault, NotReadyError
from backend.stack import locks
from backend.stack.polling import poll
from coffee_core.keys import MetricKeys
from coffee_core.load.orders import Attempt
from coffee_core.pipelines import Pipeline
from coffee_core.resources import sql
from coffee_core.runstate import PartState, State, read_state, read_states
from coffee_core.settings import Settings
from coffee_core.tasks import finish

_BACK_WITHIN_S = 90.0
"""Seconds that what was broken may take to come back."""
_WHOLE_BACK_WITHIN_S, _BACK_POLL_S = 300.0, 0.1
"""The same of the whole lab: five JVMs start at once."""
_STOPPED_S, _RUNNING_S = 0.2, 0.05
"""How a slow part alternates."""
_LIMIT_EVERY_S = 0.05
_STORM_ORDERS, _STORM_TIMES = 300, 5
_REDIS_TIMEOUT_S = 5


def _not_kept(_fault: Fault, _moment: str, _text: str, _lasts_s: float | None) -> None:
    """Keep nothing: a fault alone has no evidence."""


@dataclass(frozen=True, slots=True)
class Context:
    """Where a fault strikes, and whom to notify of it: a ``StrikeContext``, and more."""

    target: TargetStack
    clients: Mapping[Pipeline, Client]
    """The load, by pipeline."""
    struck: Callable[[], None]
    """To be called at the moment of the fault."""
    pipelines: tuple[Pipeline, ...]
    """Pipelines that are watched."""
    lasts_s: float = 0.0
    """For how long a lasting fault is to last, in seconds."""
    note: Callable[[Fault, str, str, float | None], None] = _not_kept
    """Keeps in the evidence that a fault has struck or is over: ``Evidence.fault``."""

    @property
    def settings(self) -> Settings:
        """The settings of the stack that is broken."""
        return self.target.settings

    def first_accepted(self, pipeline: Pipeline) -> Attempt | None:
        """Return an order that was acknowledged under a key of the client's own; None where there is none."""
        client = self.clients.get(pipeline)
        return client.first_accepted() if client else None

    async def still_down(self) -> str:
        """Wait until every part is up; return what is not, in words, and nothing where all are."""
        if await self.target.all_up(_BACK_WITHIN_S):
            return ""
        return f"not up again within {_BACK_WITHIN_S:g} s: {', '.join(self.target.down())}: see the logs"


async def strike(fault: Fault, context: Context, lasts_s: float) -> Effect:
    """Inject a fault; return once it is over and what was broken is up again.

    It waits up to 90 s for it. Raises NotReadyError where what is to be broken does not run, and UnreachableError
    or another CoffeeError where a server is away, or refuses, that must be asked to break something. Cancelled, it
    leaves nothing frozen, limited or locked.
    """
    if fault.action in _BY_SIGNAL:
        return await _BY_SIGNAL[fault.action](fault, context, lasts_s)
    with naming_servers(context.settings):
        if fault.strike is not None:
            return await fault.strike(replace(context, lasts_s=lasts_s))
        return await _BY_CONNECTION[fault.action](context, lasts_s)


# Done to processes, by signals and by limits. All raise NotReadyError where the part has no process.


async def _kill(fault: Fault, context: Context, _lasts_s: float) -> Effect:
    before, pid = await _find(fault, context)
    context.struck()
    os.kill(pid, signal.SIGKILL)
    what = f"killed {before.name} (pid {pid})"
    if not await context.target.restarted(before, _BACK_WITHIN_S):
        return Effect(what, problem=f"{before.name} did not come back within {_BACK_WITHIN_S:g} s: see its log")
    return Effect(what, problem=await context.still_down())


async def _freeze(fault: Fault, context: Context, lasts_s: float) -> Effect:
    part, pid = await _find(fault, context)
    context.struck()
    with frozen(pid):
        await asyncio.sleep(lasts_s)
    return Effect(f"froze {part.name} (pid {pid}) for {lasts_s:g} s", problem=await context.still_down())


async def _slow(fault: Fault, context: Context, lasts_s: float) -> Effect:
    """Let a part run for a fifth of the time."""
    part, pid = await _find(fault, context)
    context.struck()
    end_s = time.monotonic() + lasts_s
    with Restorer() as restorer:
        while time.monotonic() < end_s:
            restorer.stop(pid)
            await asyncio.sleep(_STOPPED_S)
            restorer.mend()
            await asyncio.sleep(_RUNNING_S)
    share = f"{_RUNNING_S / (_STOPPED_S + _RUNNING_S):.0%}"
    what = f"let {part.name} (pid {pid}) run for {share} of the time, for {lasts_s:g} s"
    return Effect(what, problem=await context.still_down())


async def _fill_disk(fault: Fault, context: Context, lasts_s: float) -> Effect:
    """Let every write to a file fail, of a part and of each process that takes its place meanwhile.

    Raises NotReadyError where this machine does not allow it, too.
    """
    part, pid = await _find(fault, context)
    now: PartState | None = part
    context.struck()
    end_s = time.monotonic() + lasts_s
    with Restorer(account_of=pid) as restorer:
        while time.monotonic() < end_s:
            if now is not None and now.pid is not None:
                restorer.keep_from_writing(now.pid)
            await asyncio.sleep(_LIMIT_EVERY_S)
            now = read_state(context.settings.home, part.name)
    what = f"no file of {part.name} could be written for {lasts_s:g} s"
    return Effect(what, problem=await context.still_down())


async def _kill_everything(_fault: Fault, context: Context, _lasts_s: float) -> Effect:
    """Kill every process of the lab, its supervisor too, and start it again as it was started."""
    home = context.settings.home
    supervisor = Supervisor.of(home)
    before = {part.name: part for part in read_states(home)}
    context.struck()

    async def kill_and_start() -> tuple[int, int]:
        killed = await kill_all(supervisor.pid)
        if left := locks.holders(home):
            raise NotReadyError(f"not all of the lab is its supervisor's: {', '.join(left)} live on")
        return killed, supervisor.start_again(home)

    # Also after Ctrl-C: nobody else would start it again.
    killed, pid = await finish(kill_and_start())
    what = f"killed all {killed} processes of the lab and started it again (pid {pid}, lines in logs/up.log)"

    def back() -> bool:
        now = {part.name: part for part in read_states(home) if part.state is State.UP}
        return now.keys() >= before.keys() and all(now[name].pid != part.pid for name, part in before.items())

    if await poll(back, _BACK_POLL_S, _WHOLE_BACK_WITHIN_S):
        return Effect(what)
    up = {part.name for part in read_states(home) if part.state is State.UP}
    missing = ", ".join(sorted(before.keys() - up)) or "a process of before"
    return Effect(what, problem=f"not up again within {_WHOLE_BACK_WITHIN_S:g} s: {missing}: see the logs")


async def _find(fault: Fault, context: Context) -> tuple[PartState, int]:
    part = await context.target.find(fault.part)
    assert part.pid is not None, "a part that was found has a process"
    return part, part.pid


# Done through a connection: to rows, to keys, to memory.


async def _lock(context: Context, lasts_s: float) -> Effect:
    """Lock the orders for a time."""
    connection = await open_postgres(context.settings.database_url)
    try:
        async with connection.transaction():
            # From the moment it is asked for: everyone who comes later waits behind it already.
            context.struck()
            await connection.execute(sql("backend.lab.chaos", "lock"))
            await asyncio.sleep(lasts_s)
    finally:
        # The server lets go of the lock with the connection, also where we are killed.
        connection.terminate()
    return Effect(f"locked the orders for {lasts_s:g} s", problem=await context.still_down())


async def _fill_memory(context: Context, lasts_s: float) -> Effect:
    """Let Redis refuse whatever needs memory, for a time."""
    with Restorer() as restorer:
        context.struck()
        restorer.fill_memory(context.settings.redis_url)
        await asyncio.sleep(lasts_s)
    return Effect(f"left redis without free memory for {lasts_s:g} s", problem=await context.still_down())


async def _storm(context: Context, _lasts_s: float) -> Effect:
    """Repeat the last orders of each client."""
    context.struck()
    await asyncio.gather(*(client.storm(_STORM_ORDERS, _STORM_TIMES) for client in context.clients.values()))
    return Effect(f"sent the last {_STORM_ORDERS} orders of each pipeline {_STORM_TIMES} times more, at once")


async def _flush(context: Context, _lasts_s: float) -> Effect:
    """Delete the metric keys."""
    keys = [key for pipeline in context.pipelines for key in MetricKeys(pipeline).metrics]
    async with Redis.from_url(context.settings.redis_url, socket_timeout=_REDIS_TIMEOUT_S) as client:
        context.struck()
        await client.delete(*keys)
    return Effect(f"deleted the metric keys of {', '.join(context.pipelines)}")


_BY_SIGNAL: dict[Action, Callable[[Fault, Context, float], Awaitable[Effect]]] = {
    Action.KILL: _kill,
    Action.FREEZE: _freeze,
    Action.SLOW: _slow,
    Action.FILL_DISK: _fill_disk,
    Action.KILL_EVERYTHING: _kill_everything,
}
_BY_CONNECTION: dict[Action, Callable[[Context, float], Awaitable[Effect]]] = {
    Action.FILL_MEMORY: _fill_memory,
    Action.LOCK: _lock,
    Action.STORM: _storm,
    Action.FLUSH: _flush,
}
