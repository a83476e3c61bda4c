"""The local stack that is to be broken: its addresses, its parts, their processes."""

import re
import resource
from collections.abc import Mapping
from dataclasses import dataclass

from backend.lab.chaos.faults import LOCATORS
from backend.lab.chaos.whole_stack import Supervisor
from backend.pipelines.faults import Action, Fault, NotReadyError
from backend.stack.polling import poll
from coffee_core.errors import CoffeeError
from coffee_core.pipelines import Pipeline
from coffee_core.runstate import PartState, State, read_state, read_states
from coffee_core.settings import Settings

_STEP_S = 0.05
_UP_WITHIN_S = 120.0
_FLINK_TIMEOUT_S = 1.0
_NO_TASK_MANAGER = "no TaskManager runs the job now"


class NotLocalError(CoffeeError):
    """Faults are for a stack of this machine's own alone."""


@dataclass(frozen=True, slots=True)
class TargetStack:
    """A running embedded stack."""

    settings: Settings
    """Its settings, as it has published them: nothing of our environment but the home and the API's token."""

    @classmethod
    def attach(cls, environ: Mapping[str, str] | None = None) -> "TargetStack":
        """Find the stack that runs in COFFEE_HOME.

        Raises NotLocalError where none runs there, or one with a server that was given by its URL.
        """
        given = Settings.from_env(environ)
        home = given.home
        parts = read_states(home)
        if all(part.state is State.STOPPED for part in parts):
            raise NotLocalError(f"no stack runs in {home}: start it with `coffee up`")
        if external := [part.name for part in parts if part.state is State.EXTERNAL]:
            raise NotLocalError(
                f"{', '.join(external)} was given by a URL: only a wholly embedded stack is broken on purpose"
            )
        return cls(Settings.attach({"COFFEE_HOME": str(home), "COFFEE_API_TOKEN": given.api_token}))

    @property
    def pipelines(self) -> tuple[Pipeline, ...]:
        """The pipelines that run."""
        return self.settings.pipelines

    def offers(self, fault: Fault) -> bool:
        """Tell whether what a fault breaks runs here, and can be broken on this system."""
        if fault.action is Action.FILL_DISK and not hasattr(resource, "prlimit"):
            return False
        if fault.action is Action.KILL_EVERYTHING:
            return self._can_be_started_again()
        if fault.log is not None:
            return fault.log in self.pipelines
        return not fault.part or bool(self._states_of(fault.part))

    def _can_be_started_again(self) -> bool:
        try:
            Supervisor.of(self.settings.home)
        except NotReadyError:
            return False
        return True

    async def find(self, part: str) -> PartState:
        """Return where a part stands; of several processes of its name, the one that does the work.

        Raises NotReadyError where it has no process now.
        """
        name = await LOCATORS[part](self.settings) if part in LOCATORS else part
        running = [state for state in self._states_of(name) if state.pid is not None]
        if not running:
            raise NotReadyError(f"{name} does not run now: `coffee status` tells")
        return running[0]

    def down(self) -> list[str]:
        """Return the names of the parts that are not up."""
        return [part.name for part in read_states(self.settings.home) if part.state is not State.UP]

    async def all_up(self, within_s: float = _UP_WITHIN_S) -> bool:
        """Wait until every part is up; return whether they are."""
        return await poll(lambda: not self.down(), _STEP_S, within_s)

    async def restarted(self, before: PartState, within_s: float) -> bool:
        """Wait until a part is up in another process than before; return whether it is."""

        def in_another_process() -> bool:
            now = read_state(self.settings.home, before.name)
            return now is not None and now.state is State.UP and now.pid != before.pid

        return await poll(in_another_process, _STEP_S, within_s)

    def _states_of(self, part: str) -> list[PartState]:
        """Return the state of a part, or of its numbered processes, as ``NAME-1`` and ``NAME-2``."""
        state = read_state(self.settings.home, part)
        if state is not None:
            return [state]
        numbered = re.compile(rf"{re.escape(part)}-\d+")
        return [state for state in read_states(self.settings.home) if numbered.fullmatch(state.name)]
