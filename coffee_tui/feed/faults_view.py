"""What the page of faults shows: frozen values, compared by equality."""

from dataclasses import dataclass
from enum import StrEnum

from coffee_core.pipelines import Pipeline


@dataclass(frozen=True, slots=True)
class FaultInfo:
    """One fault of the menu, as ``coffee chaos`` lists it."""

    name: str
    """As it is called on the command line."""
    teaches: str
    """What there is to see, in one line."""


class Phase(StrEnum):
    """Where a run of a fault stands."""

    IDLE = "idle"
    """None has been run yet."""
    PREPARING = "preparing"
    """Nothing is broken yet."""
    STRUCK = "struck"
    """It is broken now."""
    OVER = "over"
    """What was broken is back; orders catch up, then everything is compared."""
    ENDED = "ended"
    """The verdict is there, or why there is none."""


@dataclass(frozen=True, slots=True)
class FaultVerdict:
    """What a fault has done to one pipeline."""

    pipeline: Pipeline
    """Which one."""
    exact: bool
    """Whether nothing was lost, duplicated or adrift, and nothing else was wrong."""
    sentence: str
    """Its figures in words."""
    wrong: tuple[str, ...] = ()
    """What is wrong, in sentences."""


@dataclass(frozen=True, slots=True)
class FaultView:
    """A run of a fault at one moment."""

    name: str = ""
    """Which fault; empty before the first."""
    phase: Phase = Phase.IDLE
    """Where it stands."""
    bare: bool = False
    """Whether the load is the user's own: then the pipelines' logs are the witness."""
    pipelines: tuple[Pipeline, ...] = ()
    """Pipelines that are watched."""
    struck_s: float | None = None
    """When it struck: monotonic seconds; None before."""
    lasts_s: float | None = None
    """Seconds that it goes on; None where it strikes once."""
    visible: tuple[tuple[Pipeline, float], ...] = ()
    """(pipeline, seconds from the fault until its orders were visible again), in order of arrival."""
    said: str = ""
    """The last line of progress."""
    verdicts: tuple[FaultVerdict, ...] = ()
    """One for each pipeline, at the end."""
    trouble: str = ""
    """Why there is no verdict; empty where there is nothing to say."""

    @property
    def running(self) -> bool:
        """Tell whether it is under way."""
        return self.phase in (Phase.PREPARING, Phase.STRUCK, Phase.OVER)

    @property
    def waiting(self) -> tuple[Pipeline, ...]:
        """Return the pipelines whose orders are not visible again."""
        back = {pipeline for pipeline, _ in self.visible}
        return tuple(each for each in self.pipelines if each not in back)

    @property
    def felt(self) -> bool:
        """Tell whether its effect is to be marked now: from the fault until all orders are visible again."""
        return self.phase is Phase.STRUCK or (self.phase is Phase.OVER and bool(self.waiting))

    def clock(self, now_s: float) -> str:
        """Say how long it is since the fault, and how long it still lasts where that is known."""
        if self.struck_s is None:
            return "nothing is broken yet"
        ago_s = now_s - self.struck_s
        left_s = (self.lasts_s or 0.0) - ago_s
        if self.phase is Phase.STRUCK and left_s > 0:
            return f"struck {ago_s:.0f} s ago · goes on for {left_s:.0f} s more"
        if self.felt:
            return f"struck {ago_s:.0f} s ago · not back yet: {', '.join(self.waiting) or self.name}"
        return f"struck {ago_s:.0f} s ago · every pipeline shows new orders again"
