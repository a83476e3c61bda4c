"""Asks a running part whether it is ready, and publishes the answer."""

import asyncio
import time
from collections.abc import Callable

from backend.stack.backoff import Backoff
from backend.stack.logs import log_path, rotate
from backend.stack.part import Part
from backend.stack.publisher import Publisher
from coffee_core.errors import StackError
from coffee_core.runstate import State
from coffee_core.settings import Settings

_FIRST_STEP_S = 0.03
_LONGEST_STEP_S = 0.2
_WATCH_STEP_S = 1.0
_REFUSALS = 2
"""So many times in a row a part must fail its check to be taken for not ready: a busy machine may miss one."""


async def watch(part: Part, settings: Settings, public: Publisher, pid: int | None, backoff: Backoff) -> None:
    """Publish for ever whether the part is ready; settle it each time it has become so."""
    coming, good = (State.WAITING, State.EXTERNAL) if part.external else (State.STARTING, State.UP)
    began = time.monotonic()
    public.move(coming, "", pid)
    while True:
        await _until_ready(part, public, coming, pid, began)
        await _until_settled(part, public, coming, pid)
        backoff.is_up()
        public.move(good, part.remark(), pid)
        took_s = time.monotonic() - began
        public.say("answers; given by its URL" if part.external else f"up in {took_s:.1f} s")
        await _while_ready(part, settings, lambda: public.move(good, part.remark(), pid))
        began = time.monotonic()
        public.move(coming, "does not answer", pid)
        public.say("does not answer")


async def _until_ready(part: Part, public: Publisher, coming: State, pid: int | None, began: float) -> None:
    step_s = _FIRST_STEP_S
    while not await part.ready():
        if part.external and time.monotonic() - began > _WATCH_STEP_S:
            public.move(coming, "the given server does not answer", pid)
            public.say("the given server does not answer")
        await asyncio.sleep(step_s)
        step_s = min(step_s * 1.2, _LONGEST_STEP_S)


async def _until_settled(part: Part, public: Publisher, coming: State, pid: int | None) -> None:
    backoff = Backoff()
    while True:
        try:
            return await part.settle()
        except StackError as error:
            public.move(coming, str(error), pid)
            public.say(f"{error}; trying again")
            await asyncio.sleep(backoff.next_s())


async def _while_ready(part: Part, settings: Settings, tell: Callable[[], None]) -> None:
    refusals = 0
    while refusals < _REFUSALS:
        await asyncio.sleep(_WATCH_STEP_S)
        rotate(log_path(settings.home, part.name))
        if await part.ready():
            refusals = 0
            tell()
        else:
            refusals += 1
