"""The local stack that is to be broken: its addresses, its parts, their processes."""

import resource
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from backend.lab.chaos.client import Client
from backend.lab.chaos.faults import WORKING_TASK_MANAGER, Deed, Fault
from backend.stack.polling import poll
from coffee_core.errors import CoffeeError
from coffee_core.pipelines import Pipeline
from coffee_core.runstate import PartState, State, read_state, read_states
from coffee_core.settings import Settings
from flink.rest import FlinkRest, FlinkUnavailableError

_STEP_S = 0.05
_FLINK_TIMEOUT_S = 1.0
_NO_TASK_MANAGER = "no TaskManager runs the job now"


class NotLocalError(CoffeeError):
    """Faults are for a stack of this machine's own alone."""


class NotReadyError(CoffeeError):
    """The stack is not in order, so nothing can be learned by breaking it."""


@dataclass(frozen=True, slots=True)
class Site:
    """A running embedded stack."""

    settings: Settings
    """Its settings, as it has published them: nothing of our environment but the home."""

    @classmethod
    def attach(cls, environ: Mapping[str, str] | None = None) -> "Site":
        """Find the stack that runs in COFFEE_HOME.

        Raises NotLocalError where none runs there, or one with a server that was given by its URL.
        """
        home = Settings.from_env(environ).home
        parts = read_states(home)
        if all(part.state is State.STOPPED for part in parts):
            raise NotLocalError(f"no stack runs in {home}: start it with `coffee up`")
        if given := [part.name for part in parts if part.state is State.EXTERNAL]:
            raise NotLocalError(
                f"{', '.join(given)} was given by a URL: only a wholly embedded stack is broken on purpose"
            )
        return cls(Settings.attach({"COFFEE_HOME": str(home)}))

    @property
    def pipelines(self) -> tuple[Pipeline, ...]:
        """The pipelines that run."""
        return self.settings.pipelines

    def offers(self, fault: Fault) -> bool:
        """Tell whether what a fault breaks runs here, and can be broken on this system."""
        if fault.deed is Deed.FILL_DISK and not hasattr(resource, "prlimit"):
            return False
        if fault.log is not None:
            return fault.log in self.pipelines
        name = f"{fault.part}-1" if fault.part == WORKING_TASK_MANAGER else fault.part
        return not name or read_state(self.settings.home, name) is not None

    async def find(self, part: str) -> PartState:
        """Return where a part stands. Raises NotReadyError where it has no process now."""
        name = await self._working_task_manager() if part == WORKING_TASK_MANAGER else part
        state = read_state(self.settings.home, name)
        if state is None or state.pid is None:
            raise NotReadyError(f"{name} does not run now: `coffee status` tells")
        return state

    def down(self) -> list[str]:
        """Return the names of the parts that are not up."""
        return [part.name for part in read_states(self.settings.home) if part.state is not State.UP]

    async def all_up(self, within_s: float) -> bool:
        """Wait until every part is up; return whether they are."""
        return await poll(lambda: not self.down(), _STEP_S, within_s)

    async def restarted(self, before: PartState, within_s: float) -> bool:
        """Wait until a part is up in another process than before; return whether it is."""

        def another() -> bool:
            now = read_state(self.settings.home, before.name)
            return now is not None and now.state is State.UP and now.pid != before.pid

        return await poll(another, _STEP_S, within_s)

    async def _working_task_manager(self) -> str:
        try:
            async with FlinkRest(self.settings.flink_rest_url, _FLINK_TIMEOUT_S) as flink:
                for job in await flink.jobs():
                    if job.state == "RUNNING" and (names := await flink.task_managers_of(job)):
                        return names[0]
        except FlinkUnavailableError as error:
            raise NotReadyError(f"{_NO_TASK_MANAGER}: `coffee status` tells") from error
        raise NotReadyError(f"{_NO_TASK_MANAGER}: `coffee status` tells")


# Where a fault strikes, and what is said of it afterwards.


BACK_WITHIN_S = 90.0
"""Seconds that what was broken may take to come back."""


@dataclass(frozen=True, slots=True)
class Scene:
    """Where a fault strikes, and when to say that it does."""

    site: Site
    clients: Mapping[Pipeline, Client]
    """The load, by pipeline."""
    struck: Callable[[], None]
    """To be called at the moment of the fault."""
    pipelines: tuple[Pipeline, ...]
    """Pipelines that are watched."""

    async def still_down(self) -> str:
        """Wait until every part is up; return what is not, in words, and nothing where all are."""
        if await self.site.all_up(BACK_WITHIN_S):
            return ""
        return f"not up again within {BACK_WITHIN_S:g} s: {', '.join(self.site.down())}: see the logs"


@dataclass(frozen=True, slots=True)
class Done:
    """What was done."""

    what: str
    """In words, for the progress and the notes."""
    poison: int = 0
    """Messages that must now become dead letters."""
    problem: str = ""
    """What did not come back; empty where everything did."""
