"""Where a fault strikes, and what is said of it afterwards."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from backend.lab.chaos.client import Client
from backend.lab.chaos.site import Site
from coffee_core.pipelines import Pipeline

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
