"""What the process wrapper needs to know of a part: how to start it, when it is ready, how to stop it."""

import signal
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path

from backend.stack.timings import Span

Announce = Callable[[str, bool], None]
"""Called with a line and whether it is passing (progress, soon replaced by another)."""

LOOPBACK = "127.0.0.1"
"""Where every embedded server listens; the API alone may listen elsewhere."""


async def nothing() -> None:
    """Do nothing: the default of a part that has nothing to prepare."""


async def nothing_inside(_last: Span) -> Sequence[Span]:
    """Return nothing: the default of a part whose start has no parts of its own."""
    return ()


def no_remark() -> str:
    """Return nothing: the default of a part without remarks."""
    return ""


@dataclass(frozen=True, slots=True)
class Part:
    """One process of the stack, as ``coffee run NAME`` keeps it.

    The life of a part: wait until all of ``needs`` are up; ``prepare``; start ``argv``; call ``ready``
    until it returns True; ``settle``; publish that it is up; go on calling ``ready`` at intervals. Where the
    process dies, begin again after a backoff. An ``external`` part has no process: it is only probed and settled.
    """

    name: str
    """Process name, as in the Procfile."""
    argv: tuple[str, ...]
    """Program and arguments; empty where the part is external."""
    ready: Callable[[], Awaitable[bool]]
    """Tell, quickly and without raising, whether the part can do its work now."""
    port: int | None = None
    """Main TCP port, where it listens."""
    other_ports: tuple[int, ...] = ()
    """Further TCP ports on which it listens."""
    host: str = LOOPBACK
    """Address on which it listens."""
    env: Mapping[str, str] = field(default_factory=dict)
    """Variables added to the environment of the process."""
    folder: Path | None = None
    """Its working folder, which is there once it is prepared; None: ours."""
    stop_signal: signal.Signals = signal.SIGTERM
    """What ends it in order."""
    stop_within_s: float = 4.0
    """Seconds it gets before SIGKILL; honcho gives the wrapper 5."""
    pause_s: float = 0.0
    """Seconds to let pass before it is started again: another does its work now, and needs the processor."""
    needs: tuple[str, ...] = ()
    """Names of the parts that must be up first."""
    prepare: Callable[[], Awaitable[None]] = nothing
    """What must be done before each start, idempotent; raises StackError with what to do.

    What takes longer than a second calls ``report_progress``, and does not block the loop.
    """
    settle: Callable[[], Awaitable[None]] = nothing
    """What must be done once it answers and before others may use it, idempotent: migrations, topics."""
    remark: Callable[[], str] = no_remark
    """Return a remark for the status of a part that is up; called after each ``ready``."""
    trouble: Callable[[], str] = no_remark
    """Return why a part that runs is not ready, empty where that is not known; called after each ``ready``."""
    inside: Callable[[Span], Awaitable[Sequence[Span]]] = nothing_inside
    """Return, once it is up, what happened inside it at its start, the last phase of which is given."""
    external: bool = False
    """Given by a URL: not started here."""
    given: str = ""
    """The variable that gave it, and where it says that the server is; empty where the part is embedded."""

    @property
    def ports(self) -> tuple[int, ...]:
        """All ports on which it listens, the main one first; they are checked to be free before each start."""
        return (*(() if self.port is None else (self.port,)), *self.other_ports)


def _ignore(text: str) -> None:
    """Drop progress that is reported outside of a wrapper."""


progress_listener: ContextVar[Callable[[str], None]] = ContextVar("progress_listener", default=_ignore)
"""Takes what ``report_progress`` is given; set by the wrapper of the part, inherited by its tasks and by
``asyncio.to_thread``."""


def report_progress(text: str) -> None:
    """Report in a few words what ``prepare`` or ``settle`` does now, e.g. ``fetching jars, 12 of 45 MB``.

    The dashboard and the terminal show it. Cheap: call it often.
    """
    progress_listener.get()(text)
