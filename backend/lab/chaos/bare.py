"""A fault alone: whoever sends orders goes on, and afterwards each pipeline's own log is the witness."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from backend.lab.audit import audit
from backend.lab.audit_balance import Balance
from backend.lab.audit_report import sentence
from backend.lab.chaos.faults import Deed, Fault
from backend.lab.chaos.inflict import inflict
from backend.lab.chaos.say import Say
from backend.lab.chaos.scene import Scene
from backend.lab.chaos.site import NotReadyError, Site
from backend.lab.chaos.watcher import Watcher
from backend.lab.servers import UnreachableError
from backend.stack.polling import poll
from coffee_core.pipelines import Pipeline

_UP_WITHIN_S = 120.0
_BALANCED_WITHIN_S = 60.0
_MOVING_WITHIN_S = 20.0
"""v1 moves every 10 s where nothing else is set; where nobody sends an order, this is waited for nothing."""
_STEP_S, _LOOK_S = 0.25, 0.05


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
        await asyncio.sleep(_STEP_S)
