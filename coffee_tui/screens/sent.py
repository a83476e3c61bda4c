"""Orders: the latest that this dashboard has sent, and the journey of the one under the cursor."""

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import ClassVar

from rich.text import Text
from textual import work
from textual.binding import Binding, BindingType
from textual.widget import Widget
from textual.widgets import DataTable, Input, Static

from coffee_core.clock import now_us
from coffee_core.settings import Settings
from coffee_tui.feed.journal import Journal, SentOrder
from coffee_tui.feed.journey import Journey, ask
from coffee_tui.screens.page import Page
from coffee_tui.theme import ACCENT, AMBER, GREY, RED, TEXT
from coffee_tui.widgets.text import latency

_EVERY_S = 1.0
_ROWS = 60
_COLOURS = {"acknowledged": TEXT, "refused": RED, "unknown": AMBER, "rejected": GREY}
_KNOWN = {True: "✓ yes", False: "… not yet", None: "· nobody can tell"}
_EMPTY = "no order sent from here yet: go back, 1 2 3 send one, space a load"


class SentScreen(Page):
    """A table that follows; a line below it says where the chosen order is."""

    KEYS: ClassVar[tuple[Binding, ...]] = (
        Binding("slash", "find", "filter", key_display="/", tooltip="filter by words"),
        Binding("f", "follow", "follow", tooltip="follow the newest, or stay"),
    )
    BINDINGS: ClassVar[list[BindingType]] = [*KEYS]

    def __init__(self, journal: Journal, settings: Callable[[], Settings | None]) -> None:
        super().__init__("Orders · the latest that this dashboard has sent, and where the chosen one is now")
        self._journal = journal
        self._settings = settings
        self._words = ""
        self._following = True
        self._listed: list[SentOrder] = []
        self._journeys: dict[SentOrder, Journey] = {}

    def body(self) -> Iterable[Widget]:
        """Return the filter, the table and the journey."""
        yield Input(placeholder="words to filter by, Enter", id="filter")
        yield DataTable(cursor_type="row", zebra_stripes=False, id="sent")
        yield Static(_EMPTY, id="say")

    def on_mount(self) -> None:
        """Fill the table, then once a second."""
        table = self.query_one(DataTable)
        table.add_columns("", "answered", "order", "answer", "after", "message id")
        table.focus()
        self._fill()
        self.set_interval(_EVERY_S, self._tick)

    def _tick(self) -> None:
        self._fill()
        self._follow_journey()

    def _fill(self) -> None:
        chosen = self._chosen()
        latest = self._journal.latest(_ROWS, self._words)
        if not self._following and chosen is not None and chosen not in latest:
            latest = [*latest, chosen]
        if latest == self._listed:
            return
        table = self.query_one(DataTable)
        self._listed = latest
        table.clear()
        for order in latest:
            table.add_row(*_cells(order))
        if not self._following and chosen in latest:
            table.move_cursor(row=latest.index(chosen))

    def _chosen(self) -> SentOrder | None:
        row = self.query_one(DataTable).cursor_row
        return self._listed[row] if 0 <= row < len(self._listed) else None

    @work(exclusive=True)
    async def _follow_journey(self) -> None:
        order, settings = self._chosen(), self._settings()
        say = self.query_one("#say", Static)
        if order is None:
            say.update("no order matches" if self._words else _EMPTY)
        elif settings is None:
            say.update("a recording: there is nobody to ask")
        else:
            journey = (await ask(settings, order)).since(self._journeys.get(order), now_us())
            # Of the chosen one alone: what nobody watches, nobody has seen arrive.
            self._journeys = {order: journey}
            say.update(journey_line(order, journey))

    def on_data_table_row_highlighted(self, event: DataTable.RowHighlighted) -> None:
        """Stay with an order that was chosen; the first row follows the newest."""
        if event.cursor_row > 0 and event.cursor_row < len(self._listed):
            self._following = False
        self._follow_journey()

    def copied(self) -> str:
        """Return the chosen order's id."""
        order = self._chosen()
        return (order.message_id if order else None) or ""

    def action_find(self) -> None:
        """Ask for words to filter by."""
        field = self.query_one(Input)
        field.add_class("open")
        field.focus()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Filter by the words."""
        self._words = event.value
        event.input.remove_class("open")
        self.query_one(DataTable).focus()
        self._fill()

    def action_follow(self) -> None:
        """Follow the newest order, or stay with the chosen one."""
        self._following = not self._following
        if self._following:
            self.query_one(DataTable).move_cursor(row=0)


def _cells(order: SentOrder) -> tuple[Text, ...]:
    status = "" if order.status is None else f" {order.status}"
    return (
        Text(str(order.pipeline), f"bold {ACCENT[order.pipeline]}"),
        Text(_clock(order.answered_us), GREY),
        Text(order.what, TEXT),
        Text(f"{order.outcome}{status}", _COLOURS[order.outcome]),
        Text(latency(order.latency_us).rjust(7), TEXT),
        Text(order.message_id or order.reason, GREY),
    )


def journey_line(order: SentOrder, journey: Journey) -> Text:
    """Return what is said of an order: accepted, stored, shown."""
    text = Text().append(f"{order.pipeline} ", f"bold {ACCENT[order.pipeline]}").append(f"{order.what}  ", TEXT)
    if journey.trouble:
        return text.append(f"· {journey.trouble}", GREY)
    text.append(f"accepted {_clock(order.answered_us)}", TEXT)
    for what, known, by_us in (
        ("stored", journey.stored, journey.stored_by_us),
        ("shown", journey.shown, journey.shown_by_us),
    ):
        text.append(f"  {what} {_KNOWN[known] if by_us is None else f'✓ by {_clock(by_us)}'}", TEXT)
    return text


def _clock(time_us: int) -> str:
    return datetime.fromtimestamp(time_us / 1e6).astimezone().strftime("%H:%M:%S.%f")[:-3]
