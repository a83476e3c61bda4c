"""The talk: drives the lab, or the recording, step by step, and says what to look at."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace

from coffee_core.load.schedule import Pattern
from coffee_core.tasks import end_tasks
from coffee_tui.data.faults import FaultError, Phase, whole_menu
from coffee_tui.data.load_plan import LoadPlan
from coffee_tui.data.snapshot import OrdersView, Snapshot
from coffee_tui.data.sources import Sources
from coffee_tui.data.tour import Deed, TourStep, moments, steps
from coffee_tui.widgets.caption import CaptionView, Doing

RATE_PER_S = 100.0
"""Orders a second into each pipeline: a load that every machine carries."""
HOLD_S = 8.0
"""Seconds that a step stands by itself once it is done: two lines are read in six."""
_LOOK_EVERY_S = 0.1
_SHOWN_WITHIN_S = 30.0
"""Seconds for an order to be shown: a cron comes every ten."""
_PLAYED_S = 9.0
"""Seconds of a recording that a step plays before it stands."""
_NOT_RECORDED = "not in this recording: `coffee up`, then coffee-tui --tour, shows it"


class Tour:
    """A talk under way. It never waits for the screen: ``show`` takes what is to be shown."""

    def __init__(
        self,
        sources: Sources,
        snapshot: Callable[[], Snapshot],
        orders: Callable[[], OrdersView],
        show: Callable[[TourStep | None, CaptionView], None],
        named: Callable[[str], str],
    ) -> None:
        """``named`` puts keys in the place of actions, as they are bound here."""
        self._sources = sources
        self._snapshot = snapshot
        self._orders = orders
        self._show = show
        self._named = named
        self._steps: tuple[TourStep, ...] = ()
        self._moments: Sequence[float | None] = ()
        self._at = 0
        self._done: set[int] = set()
        self._moved = asyncio.Event()
        self._own_load = False
        self._plan: LoadPlan | None = None
        """The user's own, once the talk has put another in its place."""
        self._ended = False

    async def run(self, hold_s: float | None = None) -> None:
        """Begin, and go through the steps until the last has been left.

        With ``hold_s`` it goes on by itself: each step stands so many seconds once it is done.
        """
        self._steps = steps(self._sources.pipelines, await self._faults())
        player = self._sources.player
        self._moments = moments(self._steps, player.frames) if player else ()
        try:
            while not self._ended and self._at < len(self._steps):
                await self._stand(hold_s)
        finally:
            await self._leave()

    def move(self, by: int) -> None:
        """Go on, or back; beyond the last step the talk is over."""
        self._at = max(0, self._at + by)
        self._moved.set()

    def end(self) -> None:
        """End it where it stands, also before its first step."""
        self._ended = True
        self._moved.set()

    async def _faults(self) -> list[str]:
        """Return the names of the faults that can be had: of a recording, those that it was asked to show."""
        faults = self._sources.faults
        try:
            if faults is not None and not faults.why_not():
                return [fault.name for fault in await faults.menu()]
            return [fault.name for fault in await whole_menu()]
        except FaultError:
            return []

    async def _stand(self, hold_s: float | None) -> None:
        """Do a step, once, and stand there until somebody moves, or until it has stood long enough."""
        at, step = self._at, self._steps[self._at]
        self._moved.clear()
        self._say("", Doing.HINT)
        doing = asyncio.create_task(self._do(at, step), name=f"tour: {step.title}")
        moved = asyncio.create_task(self._moved.wait())
        try:
            await asyncio.wait({doing, moved}, return_when=asyncio.FIRST_COMPLETED)
            if doing.done():
                doing.result()
            await asyncio.wait({moved}, timeout=hold_s)
            if not moved.done():
                self.move(1)
        finally:
            await end_tasks(doing, moved)

    async def _do(self, at: int, step: TourStep) -> None:
        if self._sources.player is not None:
            await self._play(at)
        elif at not in self._done:
            await self._act(step)
            self._done.add(at)
        else:
            self._say("done before", Doing.HINT)

    async def _play(self, at: int) -> None:
        player, at_s = self._sources.player, self._moments[at]
        assert player is not None, "asked before"
        if at_s is None:
            self._say(_NOT_RECORDED, Doing.HINT)
            return
        later = [moment for moment in self._moments if moment is not None and moment > at_s]
        until_s = min([at_s + _PLAYED_S, *later])
        self._say("as it was recorded", Doing.BUSY)
        player.seek(max(0.0, at_s - 0.5), until_s)
        await player.stands.wait()
        self._say("as it was recorded", Doing.DONE)

    async def _act(self, step: TourStep) -> None:
        orders = self._sources.orders
        if step.deed is Deed.ORDER:
            await self._one_each(orders.order)
        elif step.deed is Deed.LOAD:
            here = self._sources.pipelines
            self._plan = self._plan or self._orders().plan
            orders.follow(replace(self._plan, rate_per_s=RATE_PER_S, pattern=Pattern.STEADY, pipelines=here))
            if not self._orders().running:
                orders.toggle()
                self._own_load = True
            self._say(f"{RATE_PER_S:,.0f} orders a second into each", Doing.DONE)
        elif step.deed is Deed.BURST:
            orders.burst()
            self._say(f"{self._orders().plan.burst_orders:,} into each", Doing.DONE)
        elif step.deed is Deed.FAULT:
            await self._break(step)
        elif step.deed is Deed.REST:
            self._stop_load()
            await self._level()

    async def _one_each(self, send: Callable[..., None]) -> None:
        before = self._counts()
        send(self._sources.pipelines)
        shown: list[str] = []
        with suppress(TimeoutError):
            async with asyncio.timeout(_SHOWN_WITHIN_S):
                while len(shown) < len(before):
                    missing = [str(each) for each in before if str(each) not in shown]
                    known = f"shown: {', '.join(shown)} · " if shown else ""
                    self._say(f"{known}on its way: {', '.join(missing)}", Doing.BUSY)
                    await asyncio.sleep(_LOOK_EVERY_S)
                    now = self._counts()
                    shown += [name for name in missing if (now[name] or 0) > (before[name] or 0)]
        complete = len(shown) == len(before)
        self._say(f"shown, in this order: {', '.join(shown)}", Doing.DONE if complete else Doing.FAILED)

    def _counts(self) -> dict[str, int | None]:
        return {str(view.pipeline): view.orders for view in self._snapshot().pipelines}

    async def _break(self, step: TourStep) -> None:
        faults = self._sources.faults
        why = "no lab is here" if faults is None else faults.why_not()
        if faults is None or why:
            self._say(f"nothing can be broken here: {why}", Doing.FAILED)
            return
        while faults.view.running:
            # Of the step before, which somebody has left: it is ending, and one at a time is broken.
            self._say(f"{faults.view.name} is ending first", Doing.BUSY)
            await asyncio.sleep(_LOOK_EVERY_S)
        running = asyncio.create_task(faults.run(step.fault, no_load=self._orders().running))
        try:
            while not running.done():
                progress = faults.view.progress.removeprefix(f"{step.fault}: ") or "about to"
                self._say(f"{step.fault}: {progress}", Doing.BUSY)
                await asyncio.wait({running}, timeout=_LOOK_EVERY_S)
            running.result()
        finally:
            await end_tasks(running)
        view = faults.view
        exact = view.phase is Phase.ENDED and not view.trouble and all(each.exact for each in view.verdicts)
        not_exact = view.trouble or self._named("NOT EXACT: {faults} says more")
        said = "not one order lost, duplicated or adrift" if exact else not_exact
        self._say(f"{step.fault}: {said}", Doing.DONE if exact else Doing.FAILED)

    async def _level(self) -> None:
        """Wait until all that was taken is shown, as the audit counts it."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_SHOWN_WITHIN_S):
                while not self._is_level():
                    self._say("the load has stopped; the last orders are on their way", Doing.BUSY)
                    await asyncio.sleep(_LOOK_EVERY_S)
        if self._is_level():
            self._say("every order that was taken is shown", Doing.DONE)
        else:
            self._say("not all that was taken is shown yet: `coffee audit` says more", Doing.FAILED)

    def _is_level(self) -> bool:
        counts = [view.counts for view in self._snapshot().pipelines]
        return all(
            each is not None and each.stored == each.shown and not (each.lost or each.duplicated or each.drift)
            for each in counts
        )

    def _stop_load(self) -> None:
        if self._own_load and self._orders().running:
            self._sources.orders.toggle()
        self._own_load = False

    async def _leave(self) -> None:
        self._show(None, CaptionView())
        if self._sources.player is not None:
            self._sources.player.play_on()
        else:
            self._stop_load()
            if self._plan is not None:
                self._sources.orders.follow(self._plan)
        if self._sources.faults is not None and self._sources.faults.view.running:
            self._sources.faults.cancel()

    def _say(self, goes_on: str, state: Doing) -> None:
        step, following = self._steps[self._at : self._at + 1], self._steps[self._at + 1 : self._at + 2]
        if not step:
            return
        first, second = map(self._named, step[0].lines)
        by_hand = self._named(f"by hand: {{{step[0].action}}}, {step[0].does}") if step[0].action else ""
        self._show(
            step[0],
            CaptionView(
                self._at + 1,
                len(self._steps),
                step[0].title,
                (first, second),
                goes_on or by_hand,
                state,
                following[0].title if following else "",
            ),
        )
