"""X-ray: the last order of each pipeline as the real thing, line by line, each to be pasted into a shell."""

from collections.abc import Callable, Iterable
from typing import ClassVar

from rich.text import Text
from textual import work
from textual.binding import Binding, BindingType
from textual.events import Click
from textual.widget import Widget
from textual.widgets import DataTable, Static
from textual.worker import Worker

from coffee_core.pipelines import Pipeline
from coffee_core.settings import Settings
from coffee_core.xray import Step
from coffee_tui.data.orders import Journal, SentOrder
from coffee_tui.data.xray import KeysWatch, XRayView, fetch_xray
from coffee_tui.keymap import named
from coffee_tui.screens.base_screen import Page
from coffee_tui.screens.sent_orders import clock
from coffee_tui.theme import ACCENT, AMBER, DIM, GREY, GROUND, TEXT
from coffee_tui.widgets.format import clip, latency

_EVERY_S = 0.5
_OF_PIPELINE = "pipeline"
"""Which pipeline a name is of, beneath it."""
_AT, _AFTER, _TOOL, _WHAT = 12, 8, 9, 9
_MARGINS = 13
_SHELL = "export $(coffee env)"
_RECORDING = "a recording has sent no order of yours: start a lab with `coffee up`"
_FOUR_ROWS = 4


class XRayScreen(Page):
    """A table of steps; below it the chosen line in full, what it does, and the keys before and after."""

    CSS = f"""
    XRayScreen > #line {{
        height: auto; min-height: {_FOUR_ROWS}; max-height: 50%; background: $c-raised; padding: 0 1;
    }}
    """
    KEYS: ClassVar[tuple[Binding, ...]] = (
        Binding("n", "send", "send one", tooltip="send one, and watch the six keys", id="xray-send"),
        Binding("right,tab", "choose(1)", "next", key_display="→", tooltip="the next pipeline", id="xray-next"),
        Binding(
            "left,shift+tab",
            "choose(-1)",
            show=False,
            key_display="←",
            tooltip="the one before",
            id="xray-previous",
        ),
    )
    BINDINGS: ClassVar[list[BindingType]] = [*KEYS]

    def __init__(
        self,
        pipelines: tuple[Pipeline, ...],
        journal: Journal,
        settings: Callable[[], Settings | None],
        send: Callable[[Pipeline], None],
    ) -> None:
        super().__init__("X-ray · the last order, as what it really was")
        self._pipelines = pipelines
        self._journal = journal
        self._settings = settings
        self._send = send
        self._index = 0
        self._views: dict[Pipeline, tuple[SentOrder, XRayView]] = {}
        self._watches: dict[Pipeline, KeysWatch] = {}
        self._drawn: object = None
        self._asked: Pipeline | None = None
        self._asking: Worker[None] | None = None
        """Asks the API for the last order of the pipeline that was asked for last."""

    @property
    def _pipeline(self) -> Pipeline:
        return self._pipelines[self._index]

    def body(self) -> Iterable[Widget]:
        """Return the pipelines, the steps, the chosen line."""
        yield Static(id="message")
        yield DataTable(cursor_type="row", id="steps")
        yield Static(id="line")

    def shown_keys(self) -> tuple[Binding, ...]:
        """Return the keys of this page; of a recording without the one that sends."""
        hidden = set() if self._settings() else {"send"}
        return tuple(key for key in super().shown_keys() if key.action not in hidden)

    def on_mount(self) -> None:
        """Follow the last order of the chosen pipeline."""
        self.query_one(DataTable).focus()
        self.call_after_refresh(self._show)
        self.set_interval(_EVERY_S, self._ask)

    def on_resize(self) -> None:
        """Fit the table to the cells there are."""
        self._drawn = None
        self.call_after_refresh(self._show)

    def _names(self) -> Text:
        text = Text()
        for at, pipeline in enumerate(self._pipelines):
            name = f" {pipeline} {pipeline.info.title} "
            text.append(name, f"bold {GROUND} on {ACCENT[pipeline]}" if at == self._index else ACCENT[pipeline])
            text.apply_meta({_OF_PIPELINE: at}, len(text) - len(name))
            text.append(" ")
        return text

    def _last(self) -> SentOrder | None:
        return next(iter(self._journal.latest(1, f"{self._pipeline} acknowledged")), None)

    def _ask(self) -> None:
        # An answer may take longer than a tick: asked again meanwhile, or for a newer one, it would never come.
        if self._asking is None or self._asking.is_finished or self._asked != self._pipeline:
            self._asked, self._asking = self._pipeline, self._look()

    @work(exclusive=True)
    async def _look(self) -> None:
        settings, pipeline, last = self._settings(), self._pipeline, self._last()
        known = self._views.get(pipeline)
        if settings is None or last is None or last.message_id is None:
            return
        if known is None or known[0] != last or not known[1].steps:
            self._views[pipeline] = last, await fetch_xray(settings, pipeline, last.message_id)
        self._show()

    def _steps(self) -> tuple[Step, ...]:
        known = self._views.get(self._pipeline)
        return known[1].steps if known else ()

    def _show(self) -> None:
        for message in self.query("#message").results(Static):
            message.update(self._names())
        watch = self._watches.get(self._pipeline)
        changes = watch.changes() if watch else {}
        drawn = (self._index, self._views.get(self._pipeline), changes, self.size)
        if drawn == self._drawn:
            return
        self._drawn = drawn
        for table in self.query(DataTable):
            chosen = table.cursor_row
            table.clear(columns=True)
            room = max(10, self.size.width - _AT - _AFTER - _TOOL - _WHAT - _MARGINS)
            for head, width in (("when", _AT), ("after", _AFTER), ("what", _WHAT), ("tool", _TOOL), ("", room)):
                table.add_column(head, width=width)
            for step in self._steps():
                table.add_row(*_cells(step, self._accepted_us(), changes, room))
            table.move_cursor(row=chosen)
        self._show_line()

    def _accepted_us(self) -> int | None:
        return next((step.at_us for step in self._steps() if step.at_us is not None), None)

    def _chosen(self) -> Step | None:
        steps, row = self._steps(), self.query_one(DataTable).cursor_row
        return steps[row] if 0 <= row < len(steps) else None

    def _show_line(self) -> None:
        step = self._chosen()
        self.query_one("#line", Static).update(self._why_none() if step is None else self._line(step))

    def _line(self, step: Step) -> Text:
        text = Text(step.line, TEXT, overflow="fold").append(f"\n{step.note}", GREY)
        pasted = f"after `{_SHELL}` it can be pasted into a shell; " if step.tool else ""
        return text.append(f"\n{pasted}{named(self, '{copy} copies it')}", DIM)

    def _why_none(self) -> Text:
        if self._settings() is None:
            return Text(f"· {_RECORDING}", GREY)
        known = self._views.get(self._pipeline)
        if known is not None:
            return Text(f"… {known[1].trouble}", GREY)
        if self._last() is not None:
            return Text("… the API is asked for it", GREY)
        sends = named(self, "{xray-send} sends one and watches it")
        return Text(f"no order sent into {self._pipeline} from here yet: {sends}", GREY)

    def on_data_table_row_highlighted(self) -> None:
        """Show the whole of the line under the cursor."""
        self._show_line()

    def on_click(self, event: Click) -> None:
        """Show the pipeline whose name was clicked."""
        if _OF_PIPELINE in event.style.meta:
            self._index = event.style.meta[_OF_PIPELINE]
            self._show()

    def action_choose(self, steps: int) -> None:
        """Show another pipeline."""
        self._index = (self._index + steps) % len(self._pipelines)
        self._show()
        self._ask()

    def action_send(self) -> None:
        """Send one order, and watch the keys around it."""
        if self._settings() is None:
            self.app.notify(_RECORDING, timeout=3)
        else:
            self._watch(self._pipeline)

    @work(group="keys")
    async def _watch(self, pipeline: Pipeline) -> None:
        settings = self._settings()
        assert settings is not None, "asked before"
        watch = self._watches[pipeline] = KeysWatch(settings, pipeline)
        await watch.look()
        self._send(pipeline)
        await watch.wait()
        self._show()

    def text(self) -> str:
        """Return a script: every line with what it is, for a shell that knows where the servers are."""
        watch = self._watches.get(self._pipeline)
        changes = watch.changes() if watch else {}
        lines = [f"# {self._pipeline}: {_SHELL}"]
        for step in self._steps():
            when = "" if step.at_us is None else f"{clock(step.at_us)} "
            lines += ["", f"# {when}{step.what}: {_change(step, changes) or step.note}"]
            lines.append(step.line if step.tool else f"# {step.line}")
        return "\n".join(lines) if self._steps() else self._why_none().plain

    def copied(self) -> str:
        """Return the chosen line."""
        step = self._chosen()
        return step.line if step else self.text()


def _cells(step: Step, accepted_us: int | None, changes: dict[str, str], room: int) -> list[Text]:
    after = ""
    if step.at_us is not None and accepted_us is not None and step.at_us != accepted_us:
        after = f"+{latency(step.at_us - accepted_us)}" if step.at_us > accepted_us else ""
    change = _change(step, changes)
    shown = change or step.line.replace('redis-cli -u "$REDIS_URL" ', "").replace('psql "$DATABASE_URL" -c "', "")
    if change:
        shown = f"{step.line.rsplit(' ', 1)[-1]}  {change}"
    return [
        Text("" if step.at_us is None else clock(step.at_us), GREY),
        Text(after.rjust(_AFTER), TEXT),
        Text(step.what, TEXT),
        Text(step.tool or "–", AMBER if step.tool else DIM),
        Text(clip(shown, room), TEXT, no_wrap=True),
    ]


def _change(step: Step, changes: dict[str, str]) -> str:
    return changes.get(step.line.rsplit(" ", 1)[-1], "") if step.what == "key" else ""
