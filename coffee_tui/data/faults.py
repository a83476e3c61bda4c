"""Faults by way of the local command line ``coffee chaos``: nothing is ever broken through the public API."""

import asyncio
import json
import signal
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from enum import StrEnum
from importlib.util import find_spec
from typing import Any

from coffee_core.children import child_environ, python_module
from coffee_core.errors import CoffeeError
from coffee_core.parent_death_signal import dies_with_parent
from coffee_core.pipelines import Pipeline, pipeline_named
from coffee_core.runstate import State, read_env, read_states
from coffee_core.settings import Settings
from coffee_tui.data.connection import Attachment

COFFEE = python_module("backend.cli")
"""The command line: another program, which this one never imports."""
RATE_PER_S = 100
"""Orders a second into each pipeline, where a fault brings its own load."""
_LEAVE_S = 5.0
"""Seconds that it gets to put everything right when the dashboard ends; then what stands by does it."""
_LONGEST_LINE = 1 << 24


class FaultError(CoffeeError):
    """``coffee chaos`` could not be asked."""


@dataclass(frozen=True, slots=True)
class FaultInfo:
    """One fault of the menu, as ``coffee chaos --json`` lists it."""

    name: str
    """As it is called on the command line."""
    teaches: str
    """What there is to see, in one line."""
    here: bool = True
    """Whether the stack of this machine offers it."""
    links: tuple[str, ...] = ()
    """The links that it may be on alone, of one of the network in a network lab."""


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
    figures: str
    """Its figures in words."""
    wrong: tuple[str, ...] = ()
    """What is wrong, in sentences."""


@dataclass(frozen=True, slots=True)
class FaultView:
    """A run of a fault at one moment: what the page of faults shows, compared by equality."""

    name: str = ""
    """Which fault; empty before the first."""
    phase: Phase = Phase.IDLE
    """Where it stands."""
    no_load: bool = False
    """Whether the load is the user's own: then the pipelines' logs are the witness."""
    pipelines: tuple[Pipeline, ...] = ()
    """Pipelines that are watched."""
    struck_s: float | None = None
    """When it struck: monotonic seconds; None before."""
    lasts_s: float | None = None
    """Seconds that it goes on; None where it strikes once."""
    visible: tuple[tuple[Pipeline, float], ...] = ()
    """(pipeline, seconds from the fault until its orders were visible again), in order of arrival."""
    progress: str = ""
    """The last line of progress."""
    verdicts: tuple[FaultVerdict, ...] = ()
    """One for each pipeline, at the end."""
    trouble: str = ""
    """Why there is no verdict; empty where there is one or none is due."""

    @property
    def running(self) -> bool:
        """Whether it is under way."""
        return self.phase in (Phase.PREPARING, Phase.STRUCK, Phase.OVER)

    @property
    def waiting(self) -> tuple[Pipeline, ...]:
        """Pipelines whose orders are not visible again."""
        back = {pipeline for pipeline, _ in self.visible}
        return tuple(pipeline for pipeline in self.pipelines if pipeline not in back)

    @property
    def felt(self) -> bool:
        """Whether its effect is to be marked now: from the fault until all orders are visible again."""
        return self.phase is Phase.STRUCK or (self.phase is Phase.OVER and bool(self.waiting))

    def clock(self, now_s: float) -> str:
        """Write how long it is since the fault, and how long it still lasts where that is known."""
        if self.struck_s is None:
            return "nothing is broken yet"
        ago_s = now_s - self.struck_s
        left_s = (self.lasts_s or 0.0) - ago_s
        if self.phase is Phase.STRUCK and left_s > 0:
            return f"struck {ago_s:.0f} s ago · goes on for {left_s:.0f} s more"
        if self.felt:
            return f"struck {ago_s:.0f} s ago · not back yet: {', '.join(self.waiting) or self.name}"
        return f"struck {ago_s:.0f} s ago · every pipeline shows new orders again"


class Faults:
    """Lists the faults, runs one at a time, and leaves nothing running."""

    def __init__(self, attachment: Attachment, command: tuple[str, ...] = COFFEE) -> None:
        self._attachment = attachment
        self._command = command
        self._process: asyncio.subprocess.Process | None = None
        self._following: asyncio.Task[None] | None = None
        self._menu: list[FaultInfo] = []
        self.view = FaultView()
        """Where the run stands."""

    @property
    def felt(self) -> str:
        """The name of the fault whose effect is to be marked now; empty where there is none."""
        return self.view.name if self.view.felt else ""

    def why_not(self) -> str:
        """Return why nothing can be broken here; empty where it can."""
        return why_not(self._attachment.settings)

    async def menu(self) -> list[FaultInfo]:
        """List what can be broken here. Raises FaultError where the command line does not list them."""
        if not self._menu:
            self._menu = [fault for fault in await read_menu(self._start) if fault.here]
        return self._menu

    async def run(self, name: str, link: str = "", *, no_load: bool = False) -> None:
        """Run one fault to its end; cancelled, ask it to end in order. Does nothing while one is under way.

        One of the network is on every link where none is named. With ``no_load`` it brings no load of its own.
        """
        if self.view.running:
            return
        called = f"{name} {link}".rstrip()
        self.view = FaultView(called, Phase.PREPARING, no_load, self._attachment.settings.pipelines)
        load = ("--no-load",) if no_load else ("--rate", str(RATE_PER_S))
        try:
            on_link = ("--link", link) if link else ()
            process = self._process = await self._start(name, "--lines", *load, *on_link)
        except OSError as error:
            self._end(f"`coffee chaos` cannot be started: {error}")
            return
        self._following = asyncio.create_task(self._follow(process), name=f"fault: {called}")
        try:
            # Where we are cancelled it reads on: a command that ends in order prints more lines.
            await asyncio.shield(self._following)
        finally:
            _interrupt(process)

    def cancel(self) -> None:
        """Ask what runs to end in order: what is frozen goes on, what is locked is let go."""
        if self._process is not None:
            _interrupt(self._process)

    async def close(self) -> None:
        """End what runs, and wait until it has gone."""
        if self._process is None or self._following is None:
            return
        self.cancel()
        await asyncio.wait({self._following}, timeout=_LEAVE_S)
        if self._process.returncode is None:
            # What it has frozen is let go by a process that stands by for this.
            self._process.kill()
        await self._following

    async def _start(self, *arguments: str) -> asyncio.subprocess.Process:
        return await _start(self._command, {"COFFEE_HOME": str(self._attachment.settings.home)}, *arguments)

    async def _follow(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None, "it was started with a pipe"
        assert process.stderr is not None, "it was started with a pipe"
        errors = asyncio.create_task(process.stderr.read())
        view = self.view
        async for line in process.stdout:
            view = advance(view, json.loads(line), time.monotonic)
            # Its end is shown once it has gone: another one may then begin.
            if view.running:
                self.view = view
        code = await process.wait()
        last_words = _last_line(await errors)
        if view.running:
            self._end(last_words or f"`coffee chaos` ended with code {code}")
        else:
            self.view = view

    def _end(self, trouble: str) -> None:
        self.view = replace(self.view, phase=Phase.ENDED, trouble=trouble)


async def whole_menu() -> list[FaultInfo]:
    """List all faults that there are, also where no stack runs. Raises FaultError where they cannot be listed."""
    if find_spec("backend") is None:
        raise FaultError("they come with the lab, coffee-rt[lab], which is not installed here")

    async def start(*arguments: str) -> asyncio.subprocess.Process:
        return await _start(COFFEE, {}, *arguments)

    return await read_menu(start)


async def read_menu(start: Callable[[str], Awaitable[asyncio.subprocess.Process]]) -> list[FaultInfo]:
    """List the faults by the command that ``start`` starts. Raises FaultError where it does not list them."""
    try:
        process = await start("--json")
    except OSError as error:
        raise FaultError(f"`coffee chaos` cannot be started: {error}") from error
    try:
        out, errors = await process.communicate()
    except asyncio.CancelledError:  # nobody waits for the list any more
        process.kill()
        await process.communicate()
        raise
    if process.returncode:
        raise FaultError(_last_line(errors) or f"`coffee chaos` ended with code {process.returncode}")
    try:
        return [
            FaultInfo(fault["name"], fault["teaches"], bool(fault["here"]), tuple(fault["links"]))
            for fault in json.loads(out)
        ]
    except (KeyError, TypeError, ValueError) as error:
        raise FaultError(f"the list of `coffee chaos` cannot be read: {type(error).__name__}") from error


def why_not(settings: Settings) -> str:
    """Return why nothing can be broken here; empty where the stack that is shown is this machine's own."""
    if find_spec("backend") is None:
        return "only the dashboard is installed here: faults come with the lab, coffee-rt[lab]"
    try:
        local = read_env(settings.home).get("API_URL") == settings.api_url_with_login
        parts = read_states(settings.home) if local else []
    except PermissionError:
        return f"the stack in {settings.home} is somebody else's: it is theirs to break"
    if all(part.state is State.STOPPED for part in parts):
        return "a remote stack has no faults: they are for one that `coffee up` runs on this machine"
    given = [part.name for part in parts if part.state is State.EXTERNAL]
    return f"{', '.join(given)} was given by a URL: only a wholly embedded stack is broken" if given else ""


def advance(view: FaultView, line: dict[str, Any], clock: Callable[[], float]) -> FaultView:
    """Return the view after one line of ``coffee chaos --lines``. Raises KeyError, ValueError for others."""
    if "ended" in line:
        ended = line["ended"]
        cut = "cancelled: what was broken is whole again" if ended["interrupted"] else ""
        return replace(view, phase=Phase.ENDED, trouble=cut or "; ".join(ended["failures"]))
    view = replace(view, progress=line["said"])
    if line.get("moment") == "struck":
        return replace(view, phase=Phase.STRUCK, struck_s=clock(), lasts_s=line["lasts_s"])
    if line.get("moment") == "over":
        return replace(view, phase=Phase.OVER)
    if "visible_again_s" in line:
        return replace(
            view, visible=(*view.visible, (pipeline_named(line["pipeline"]), float(line["visible_again_s"])))
        )
    if "cell" in line:
        result = line["cell"]
        wrong = tuple(result.get("wrong", ()))
        verdict = FaultVerdict(
            pipeline_named(result["pipeline"]), result["exact"], _without_name(view, line["said"]), wrong
        )
        return replace(view, verdicts=(*view.verdicts, verdict))
    return view


async def _start(command: tuple[str, ...], environ: dict[str, str], *arguments: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *command,
        "chaos",
        *arguments,
        env=child_environ(environ),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        # Never the terminal, which belongs to the screen.
        stderr=asyncio.subprocess.PIPE,
        limit=_LONGEST_LINE,
        # However we die, it ends in order.
        preexec_fn=dies_with_parent(signal.SIGTERM),
    )


def _interrupt(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        process.send_signal(signal.SIGINT)


def _without_name(view: FaultView, text: str) -> str:
    return text.removeprefix(f"{view.name}: ")


def _last_line(errors: bytes) -> str:
    lines = errors.decode(errors="replace").strip().splitlines()
    return lines[-1].removeprefix("coffee: ").removeprefix("Error: ") if lines else ""
