"""How a part's ``prepare`` and ``settle`` tell what they are at: the dashboard and the terminal show it."""

from collections.abc import Callable
from contextvars import ContextVar


def _unheard(text: str) -> None:
    """Drop what is said outside of a wrapper."""


listener: ContextVar[Callable[[str], None]] = ContextVar("listener", default=_unheard)
"""Who hears it; set by the wrapper of the part, and inherited by its tasks and by ``asyncio.to_thread``."""


def say(text: str) -> None:
    """Say in a few words what is being done now, e.g. ``fetching jars, 12 of 45 MB``. Cheap; call it often."""
    listener.get()(text)
