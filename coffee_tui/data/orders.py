"""Orders out of the dashboard: one by a key, many by the load process. Nothing here waits for the screen."""

import asyncio
import json
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol

from coffee_core.children import child_environ, python_module
from coffee_core.clock import now_us
from coffee_core.load.plan import LoadReport
from coffee_core.pipelines import PIPELINES, Pipeline, pipeline_named
from coffee_tui.data.connection import Attachment, one_line
from coffee_tui.data.history import Meter
from coffee_tui.data.load_plan import Command, LoadPlan
from coffee_tui.data.preferences import Preferences
from coffee_tui.data.snapshot import KeyOrder, OrdersView

if TYPE_CHECKING:
    from coffee_core.load.orders import Attempt
    from coffee_core.load.sender import Sender


_KEPT = 200
_LEAVE_S = 1.0
"""Seconds the process gets to wait for its last answers when the dashboard ends."""
_RATE_S = 2.0
_TICK_S = 0.5
PublishOrders = Callable[[OrdersView], None]
"""Takes a view; never blocks."""


@dataclass(frozen=True, slots=True)
class SentOrder:
    """One order and its answer."""

    pipeline: Pipeline
    """Where it went."""
    what: str
    """The order in words."""
    outcome: str
    """As ``coffee_core.load.statistics.Outcome``."""
    status: int | None
    """HTTP status, where there was an answer."""
    reason: str
    """Why it was not acknowledged."""
    message_id: str | None
    """Its id, where the API has given one."""
    answered_us: int
    """When the answer came: microseconds since the epoch."""
    latency_us: int
    """How long the answer took, in µs."""

    def matches(self, words: str) -> bool:
        """Return whether every word is found somewhere in it."""
        text = f"{self.pipeline} {self.what} {self.outcome} {self.status} {self.reason} {self.message_id}".lower()
        return all(word in text for word in words.lower().split())


def sent_order(answer: Mapping[str, Any]) -> SentOrder:
    """Read an answer as the load process and the sender describe it. Raises TypeError, ValueError."""
    return SentOrder(**{**answer, "pipeline": pipeline_named(answer["pipeline"])})


class Journal:
    """The latest orders sent from here; of each pipeline, so that a fast one does not push out a slow one."""

    def __init__(self) -> None:
        self._kept = {pipeline: deque[SentOrder](maxlen=_KEPT) for pipeline in PIPELINES}

    def add(self, order: SentOrder) -> None:
        """Note an order that has ended."""
        self._kept[order.pipeline].append(order)

    def latest(self, count: int, words: str = "") -> list[SentOrder]:
        """Return the newest orders that match, newest first."""
        found = [order for kept in self._kept.values() for order in kept if order.matches(words)]
        return sorted(found, key=lambda order: order.answered_us, reverse=True)[:count]


class Orders(Protocol):
    """What the keys of the screen do. Every method returns at once."""

    async def run(self, publish: PublishOrders) -> None:
        """Do what is asked for, and publish views, until cancelled."""
        ...

    def order(self, pipelines: Iterable[Pipeline]) -> None:
        """Send one order into each pipeline."""
        ...

    def toggle(self) -> None:
        """Start or stop the load."""
        ...

    def change_rate(self, steps: int) -> None:
        """Choose a rate so many steps up or down."""
        ...

    def choose(self, pipelines: tuple[Pipeline, ...]) -> None:
        """Choose where load goes."""
        ...

    def follow(self, plan: LoadPlan) -> None:
        """Choose everything anew. Raises ValueError, in words, of a plan that makes no load."""
        ...

    def burst(self) -> None:
        """Send a burst into each chosen pipeline."""
        ...

    def restore(self, preferences: Preferences) -> None:
        """Choose what was chosen last."""
        ...

    @property
    def journal(self) -> Journal:
        """The latest orders sent."""
        ...


class LiveOrders:
    """Orders into a running API."""

    def __init__(self, attachment: Attachment) -> None:
        self._attachment = attachment
        self._view = OrdersView(LoadPlan(attachment.settings.pipelines))
        self._requests: asyncio.Queue[Pipeline | Command] = asyncio.Queue()
        self._publish: PublishOrders = _nowhere
        self._process = LoadProcess(lambda: attachment.settings.api_url, self._report, self._died)
        self._counted = LoadReport()
        self._offered, self._ended = Meter(_RATE_S), Meter(_RATE_S)
        self._journal = Journal()

    @property
    def journal(self) -> Journal:
        """The latest orders sent."""
        return self._journal

    def restore(self, preferences: Preferences) -> None:
        """Choose what was chosen last."""
        self._show_view(preferences.applied_to(self._view))

    async def run(self, publish: PublishOrders) -> None:
        """Do what is asked for, and publish views, until cancelled; then end the load process."""
        # Not at the top: the first frame of the screen need not wait for the HTTP client.
        from coffee_core.load.orders import OrderMix, RandomOrders
        from coffee_core.load.sender import Sender

        self._publish = publish
        self._publish(self._view)
        mix = RandomOrders(OrderMix(repeats=0, malformed=0))
        try:
            authorization = self._attachment.settings.authorization
            async with (
                Sender(lambda: self._attachment.settings.api_url, authorization=authorization) as sender,
                asyncio.TaskGroup() as tasks,
            ):
                tasks.create_task(self._tick(), name="orders: tick")
                while True:
                    request = await self._requests.get()
                    if isinstance(request, Pipeline):
                        tasks.create_task(
                            self._send(sender, mix.next(request)), name=f"orders: one into {request}"
                        )
                    else:
                        await self._command(request)
        finally:
            await self._process.close()

    def order(self, pipelines: Iterable[Pipeline]) -> None:
        """Send one order into each pipeline."""
        for pipeline in pipelines:
            self._requests.put_nowait(pipeline)

    def toggle(self) -> None:
        """Start or stop the load."""
        self._show(running=not self._view.running, trouble="")
        if not self._view.running:
            self._ask({"do": "stop"})
        self._run_on()

    def change_rate(self, steps: int) -> None:
        """Choose a rate so many steps up or down."""
        self.follow(self._view.plan.faster(steps))

    def choose(self, pipelines: tuple[Pipeline, ...]) -> None:
        """Choose where load goes."""
        self.follow(replace(self._view.plan, pipelines=pipelines))

    def follow(self, plan: LoadPlan) -> None:
        """Choose everything anew. Raises ValueError, in words, of a plan that makes no load."""
        plan.check()
        self._show(plan=plan)
        self._run_on()

    def burst(self) -> None:
        """Send a burst into each chosen pipeline."""
        at = time.strftime("%H:%M:%S")
        plan = self._view.plan
        self._show(burst=f"{plan.burst_orders:,} each at {at}", trouble="")
        self._ask(plan.mix(), plan.burst())

    def _run_on(self) -> None:
        if self._view.running:
            self._ask(self._view.plan.mix(), self._view.plan.run())

    def _ask(self, *commands: Command) -> None:
        for command in commands:
            self._requests.put_nowait(command)

    async def _command(self, command: Command) -> None:
        try:
            await self._process.send(command)
        except OSError as error:
            self._died(f"the load process cannot be reached: {one_line(error)}")

    async def _send(self, sender: "Sender", attempt: "Attempt") -> None:
        price = f"$ {attempt.price_cents // 100}.{attempt.price_cents % 100:02d}"
        sent = KeyOrder(attempt.pipeline, f"{attempt.drink} at {attempt.store}, {price}")
        self._show_key(sent)
        from coffee_core.load.statistics import described

        answer = await sender.send(attempt)
        ended = replace(
            sent,
            outcome=str(answer.outcome),
            status=answer.status,
            reason=answer.reason,
            latency_us=answer.latency_us,
        )
        self._journal.add(sent_order(described(answer, now_us())))
        self._show_key(ended)

    def _show_key(self, order: KeyOrder) -> None:
        others = [key for key in self._view.keys if key.pipeline != order.pipeline]
        self._show(keys=tuple(sorted([*others, order], key=lambda key: PIPELINES.index(key.pipeline))))

    def _report(self, report: LoadReport) -> None:
        """Take what the load process counts; a process started anew counts from 0 again."""
        if report.total("sent") < self._counted.total("sent"):
            self._offered, self._ended = Meter(_RATE_S), Meter(_RATE_S)
        self._counted = report
        for answer in report.latest:
            self._journal.add(sent_order(answer))
        names = ("sent", "acknowledged", "refused", "rejected", "unknown", "late", "in_flight")
        counts = {name: report.total(name) for name in names}
        now_s = time.monotonic()
        self._offered.add(now_s, report.total("offered"))
        self._ended.add(now_s, counts["sent"] - counts["in_flight"])
        self._show(**counts, **self._rates(now_s))

    def _rates(self, now_s: float) -> dict[str, float]:
        return {
            "offered_per_s": self._offered.rate(now_s) or 0.0,
            "answered_per_s": self._ended.rate(now_s) or 0.0,
        }

    def _died(self, why: str) -> None:
        self._show(running=False, trouble=why, offered_per_s=0.0, answered_per_s=0.0)

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(_TICK_S)
            self._process.check()
            self._show(**self._rates(time.monotonic()))

    def _show(self, **changes: Any) -> None:
        self._show_view(replace(self._view, **changes))

    def _show_view(self, view: OrdersView) -> None:
        if view != self._view:
            self._view = view
            self._publish(view)


def _nowhere(_view: OrdersView) -> None:
    """Publish to nobody: before the screen is there."""


class LoadProcess:
    """Runs ``python -m coffee_core.load``: started when first needed, ended with the dashboard.

    ``on_death`` learns why it ended where nobody had asked for that.
    """

    def __init__(
        self, api_url: Callable[[], str], on_report: Callable[[LoadReport], None], on_death: Callable[[str], None]
    ) -> None:
        self._api_url = api_url
        self._serves = ""
        self._on_report = on_report
        self._on_death = on_death
        self._process: asyncio.subprocess.Process | None = None
        self._reading: asyncio.Task[None] | None = None

    async def send(self, command: Command) -> None:
        """Give a command to the process, starting it where it does not run. Raises OSError where it cannot."""
        gone = self._process is None or self._process.returncode is not None
        if gone or self._serves != self._api_url():
            await self._start()
        assert self._process is not None, "it was started"
        assert self._process.stdin is not None, "it was started with a pipe"
        self._process.stdin.write(json.dumps(command).encode() + b"\n")
        await self._process.stdin.drain()

    async def _start(self) -> None:
        await self.close()
        self._serves = self._api_url()
        self._process = await asyncio.create_subprocess_exec(
            *python_module("coffee_core.load", self._serves),
            env=child_environ(),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            # Never the terminal, which belongs to the screen.
            stderr=asyncio.subprocess.PIPE,
        )
        self._reading = asyncio.create_task(self._read(self._process), name="load process")

    async def _read(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None, "it was started with a pipe"
        assert process.stderr is not None, "it was started with a pipe"
        errors = asyncio.create_task(process.stderr.read())
        async for line in process.stdout:
            self._on_report(LoadReport.from_json(line))
        code = await process.wait()
        last_words = (await errors).decode(errors="replace").strip().splitlines()
        if process is not self._process:
            return  # its end was asked for
        self._on_death(f"the load process ended with code {code}" + (f": {last_words[-1]}" if last_words else ""))

    def check(self) -> None:
        """Raise what reading the process has raised, where it has."""
        if self._reading is not None and self._reading.done():
            self._reading.result()

    async def close(self) -> None:
        """End the process: close its input, give it a moment for its last answers, then kill it."""
        process, reading = self._process, self._reading
        self._process = self._reading = None
        if process is None or reading is None:
            return
        assert process.stdin is not None, "it was started with a pipe"
        process.stdin.close()
        await asyncio.wait({reading}, timeout=_LEAVE_S)
        if process.returncode is None:
            process.kill()
        await reading
