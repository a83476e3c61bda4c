"""Several faults one after the other, until they are through or somebody has had enough."""

import asyncio
import signal
from collections.abc import Sequence
from dataclasses import dataclass, field

from backend.lab.chaos.bare import Aftermath, strike
from backend.lab.chaos.cell import Cell
from backend.lab.chaos.faults import Fault
from backend.lab.chaos.run import Plan, run
from backend.lab.chaos.say import Say
from backend.lab.chaos.site import Site
from coffee_core.errors import CoffeeError


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
