"""A power cut under load, on a stack of its own that lies on the file system that forgets."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from math import inf
from pathlib import Path
from typing import Any

from backend.lab.bench.bench_stack import BenchStack
from backend.lab.chaos.evidence import Shelf
from backend.lab.chaos.experiment import Announce, Plan, run_under_load
from backend.lab.chaos.fault_result import FaultResult
from backend.lab.chaos.target import TargetStack
from backend.lab.chaos.whole_stack import kill_all
from backend.lab.power_cut.mount import ForgetfulMount
from backend.pipelines.faults import Action, Effect, Fault, StrikeContext
from backend.pipelines.operations import operations_of
from backend.stack.standstills import standstills
from backend.stack.stop_signal import run_unless_stopped
from coffee_core.durability import DEFAULT, NOTCHES
from coffee_core.errors import CoffeeError
from coffee_core.pipelines import PIPELINES, LogKind, Pipeline
from coffee_core.runstate import sync_file
from coffee_core.tasks import end_tasks, finish

NAME = "power-cut"
_TEACHES = "every process killed at once, and what was not synced forgotten: what an answer was worth"

_SETTLED_WITHIN_S = 30.0
"""Seconds that each pipeline has to come into step: all of it passes where an order is lost."""
_SAID_WITHIN_S, _POLL_S = 12.0, 0.5
"""Seconds in which a processor that can do nothing is known to stand still: it says so after four, and after two
more it is believed."""


@dataclass(frozen=True, slots=True)
class CutResult:
    """What a cut did to one pipeline, and what was promised."""

    durability: str
    """The notch of the dial."""
    result: FaultResult

    @property
    def may_lose(self) -> bool:
        """Whether nobody has promised that the acknowledged orders of this pipeline outlive a cut."""
        return _may_lose(self.result.pipeline, self.durability)

    @property
    def unsaid(self) -> int:
        """Orders that are lost beyond those of which the audit says that they may be."""
        return max(0, len(self.result.verdict.lost) - self.result.audited_lost)

    @property
    def kept(self) -> bool:
        """Whether all that was promised was kept: what is lost by default, the audit knows of.

        Nobody has said that an order may be doubled or made up, or that what was cut off may stay so.
        """
        if self.result.exact:
            return True
        # What else is wrong then, as a log that does not balance, follows from what was lost.
        lost_alone = self.result.kinds() <= {"lost", "drift", "other"} and not self.result.problem
        is_back = lost_alone and self.result.visible_s is not None
        return self.may_lose and is_back and not (self.unsaid and self.durability == DEFAULT)

    def sentence(self) -> str:
        """Return in one line what was lost of what was acknowledged, and whether that was promised."""
        verdict, pipeline = self.result.verdict, self.result.pipeline
        lost = f"{pipeline}, {self.durability}: lost {len(verdict.lost):,} of {verdict.accepted:,} acknowledged"
        if self.result.exact:
            return f"{lost}: exact"
        if self.result.problem:
            return f"{lost}, {self.result.problem}: the promise was NOT KEPT"
        said = f"the audit says {self.result.audited_lost:,} at most"
        return f"{lost}, {said}: {'no more was promised' if self.kept else 'the promise was NOT KEPT'}"

    def as_json(self) -> dict[str, Any]:
        """Return it as a cell of the matrix, with the notch and what was promised."""
        return {
            **self.result.as_json(),
            "durability": self.durability,
            "may_lose": self.may_lose,
            "kept": self.kept,
        }


def _may_lose(pipeline: Pipeline, durability: str) -> bool:
    log = pipeline.info.log
    on_topic = log is not None and log.kind is LogKind.TOPIC
    return durability not in ("strict", DEFAULT) or (durability == DEFAULT and on_topic)


async def power_cut(
    parent: Path,
    pipelines: Sequence[Pipeline],
    durability: str,
    rate_per_s: float,
    torn: int | None,
    shelf: Shelf | None,
    announce: Announce,
) -> list[CutResult]:
    """Cut the power of a stack in a fresh folder within ``parent``, under load, and compare row by row.

    ``torn``: a seed by which sectors that were not synced have reached the disk, or not. ``shelf``: where its
    evidence is kept. SIGINT, SIGTERM and SIGHUP end it; nothing else stays behind. Raises CoffeeError where it
    cannot be run to its end.
    """
    assert durability in NOTCHES, "a notch of the dial"
    results = await run_unless_stopped(_run(parent, pipelines, durability, rate_per_s, torn, shelf, announce))
    if results is None:
        raise CoffeeError("interrupted: nothing was compared")
    return [CutResult(durability, result) for result in results]


async def _run(
    parent: Path,
    pipelines: Sequence[Pipeline],
    durability: str,
    rate_per_s: float,
    torn: int | None,
    shelf: Shelf | None,
    announce: Announce,
) -> list[FaultResult]:
    with ForgetfulMount(parent, torn) as mount:
        async with BenchStack(mount.path, pipelines, {"COFFEE_DURABILITY": durability}) as stack:
            announce(f"{NAME}: a stack of its own starts in {stack.home}: your own data is not touched")
            sync_file(mount.path)  # COFFEE_HOME itself is older than any order
            await stack.wait_until_up()
            fault = Fault(
                NAME,
                _TEACHES,
                Action.POWER_CUT,
                may_refuse=PIPELINES,
                strike=partial(_cut, stack, mount, announce),
            )
            plan = Plan(tuple(pipelines), rate_per_s, 0.0, settled_within_s=_SETTLED_WITHIN_S, shelf=shelf)
            return await run_under_load(fault, TargetStack(stack.settings), plan, announce)


async def _cut(stack: BenchStack, mount: ForgetfulMount, announce: Announce, context: StrikeContext) -> Effect:
    context.struck()
    killed = await kill_all(stack.pid)
    # Cancelled in the middle of it, the file system would be unmounted, and mounted again by that thread.
    await finish(asyncio.to_thread(mount.cut))
    announce(f"{NAME}: {killed} processes killed, and what was not synced is gone; starting again")
    await stack.start()
    what = "cut the power, forgot what was not synced and started again"
    try:
        if any(_may_lose(pipeline, stack.settings.durability) for pipeline in stack.settings.pipelines):
            what = "; ".join((what, *await _replay_what_asks_for_it(stack, announce)))
        else:
            await stack.wait_until_up()
    except CoffeeError as error:
        return Effect("cut the power", problem=f"it does not start again: {error}")
    return Effect(what)


async def _replay_what_asks_for_it(stack: BenchStack, announce: Announce) -> list[str]:
    """Wait until it is up, and do what whoever runs it is told to do meanwhile; return what was done.

    A topic that has lost what was stored of it is begun again by a replay alone: until then its processors are not
    ready. Raises CoffeeError.
    """
    done: dict[Pipeline, str] = {}
    loop, up_at_s = asyncio.get_running_loop(), inf
    up = asyncio.create_task(stack.wait_until_up())
    try:
        while not up.done() or loop.time() < up_at_s + _SAID_WITHIN_S:
            if up.done():
                up_at_s = min(up_at_s, loop.time())
                up.result()
            standing = await asyncio.to_thread(standstills, stack.settings)
            for pipeline, why in standing.items():
                if pipeline not in done and f"`coffee replay {pipeline}`" in str(why):
                    announce(f"{NAME}: {pipeline} stands still until a replay: replaying")
                    replayed = await operations_of(pipeline).replay(stack.settings, lambda _done, _total: None)
                    done[pipeline] = f"{pipeline} stood still until a replay: {replayed.summary}"
            await asyncio.sleep(_POLL_S)
    finally:
        await end_tasks(up)
    return list(done.values())
