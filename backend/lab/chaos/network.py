"""What can be wrong with the network, on one link or on all: for a lab that ``coffee up --network-lab`` runs."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from backend.pipelines.faults import Action, Effect, Fault, NotReadyError, StrikeContext, refused_without
from backend.stack.network_lab import NAME, NetworkControl, Overview
from backend.stack.relay import WHOLE, Condition
from backend.stack.wanted import API
from coffee_core.pipelines import PIPELINES, Pipeline
from coffee_core.runstate import read_state

_RESET_EVERY_S = 1.0
_SLOW = Condition(delay_s=0.025, jitter_s=0.020)
_NARROW = Condition(bytes_per_s=64_000)
_SILENT = Condition(blocked=True)


@dataclass(frozen=True, slots=True)
class _Kind:
    """One way in which a link is out of order."""

    name: str
    teaches: str
    done: str
    """What was done to the links, in words."""
    requests: Condition = WHOLE
    answers: Condition = WHOLE
    resets: bool = False
    """Connections are reset, at once and every second."""
    ends_clients: bool = False
    """Connections are ended towards their clients, at once."""


_KINDS = (
    _Kind(
        "network-delay",
        "all takes 25 to 45 ms longer in each direction: a chain pays it once for each round trip that it makes",
        "delayed {links} by 25 to 45 ms each way",
        _SLOW,
        _SLOW,
    ),
    _Kind(
        "network-bandwidth",
        "64 KB a second get through: queues grow before what is narrow, and nothing is lost in them",
        "let 64 KB/s through {links}",
        _NARROW,
        _NARROW,
    ),
    _Kind(
        "network-black-hole",
        "both sides live and hear nothing: only their own timeouts tell, and what was sent arrives in the end",
        "let nothing through {links}",
        _SILENT,
        _SILENT,
    ),
    _Kind(
        "network-one-way",
        "requests arrive and answers do not: the work is done and nobody hears of it, so it must not count twice",
        "let no answer through {links}",
        answers=_SILENT,
    ),
    _Kind(
        "network-reset",
        "every connection is reset once a second: whatever was on its way is in doubt, over and over",
        "reset the connections of {links} every second",
        resets=True,
    ),
    _Kind(
        "network-slow-close",
        "clients lose their connections, the server keeps the old sessions, with whatever these hold and lock",
        "ended the connections of {links} for the clients alone",
        Condition(closes_late=True),
        ends_clients=True,
    ),
)
_BY_NAME = {kind.name: kind for kind in _KINDS}


async def overview(home: Path) -> Overview:
    """Return how the network lab of a home stands. Raises NotReadyError where none runs, NetworkLabError."""
    async with _control(home) as control:
        return await control.overview()


def on_link(fault: Fault, link: str) -> Fault:
    """Return the fault of the network on this link alone."""
    client, _, server = link.partition(":")
    may_refuse: tuple[Pipeline, ...] = refused_without(server) if client == API else ()
    kind = _BY_NAME[fault.name]
    return replace(
        fault, name=f"{fault.name} {link}", may_refuse=may_refuse, strike=partial(_strike, kind, (link,))
    )


async def _strike(kind: _Kind, links: Sequence[str], context: StrikeContext) -> Effect:
    """Put links out of order for a time; all that there are where none is named."""
    async with _control(context.settings.home) as control:
        now = await control.overview()
        chosen = links or tuple(now.connections)
        if not sum(now.connections[name] for name in chosen):
            raise NotReadyError(f"nothing runs over {', '.join(chosen)} now")
        end_s = time.monotonic() + context.lasts_s
        context.struck()
        await control.put(chosen, kind.requests, kind.answers)
        if kind.ends_clients:
            await control.end_clients(chosen)
        while kind.resets and time.monotonic() < end_s:
            await control.reset(chosen)
            await asyncio.sleep(min(_RESET_EVERY_S, max(0.0, end_s - time.monotonic())))
        await asyncio.sleep(max(0.0, end_s - time.monotonic()))
        await control.put(chosen, WHOLE, WHOLE)
    what = kind.done.format(links=links[0] if links else "all links")
    return Effect(f"{what}, for {context.lasts_s:g} s", problem=await context.still_down())


def _control(home: Path) -> NetworkControl:
    state = read_state(home, NAME)
    if state is None or state.port is None or state.pid is None:
        raise NotReadyError("no network lab runs here: start the stack with `coffee up --network-lab`")
    return NetworkControl(home, state.port)


NETWORK_FAULTS = tuple(
    Fault(kind.name, kind.teaches, Action.NETWORK, NAME, PIPELINES, strike=partial(_strike, kind, ()))
    for kind in _KINDS
)
"""Each on all links at once."""
