"""Orders: the latest that this dashboard has sent, and the journey of the one under the cursor."""

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import ClassVar

from rich.text import Text
from textual import work
from textual.binding import Binding, BindingType
from textual.widget import Widget
from textual.widgets import DataTable, Input, Static
from textual.worker import Worker

from coffee_core.clock import now_us
from coffee_core.settings import Settings
from coffee_tui.data.api_reader import Journey, fetch_journey
from coffee_tui.data.orders import Journal, SentOrder
from coffee_tui.keymap import named
from coffee_tui.screens.base_screen import Page
from coffee_tui.theme import ACCENT, AMBER, DIM, GREY, RED, TEXT
from coffee_tui.widgets.format import latency

ROWS = 4
"""The order, and a row for each step."""
_STEP, _TIME = 12, 15
_EVERY_S = 1.0
_ROWS = 60
_ANSWERS = {"acknowledged": ("✓", TEXT), "refused": ("×", RED), "unknown": ("?", AMBER), "rejected": ("×", GREY)}
_ROOMY = 118
"""From this many cells on the outcome is written out, and the id is there."""
_EASY = 72
"""From this many cells on there are milliseconds and the price."""
_TITLE = "Orders · the latest sent from here, and one's journey"
_EMPTY = "no order sent from here yet: go back, {order-all} sends one into each, {load} a load"


class SentOrdersScreen(Page):
    """A table that follows; below it the journey of the chosen order."""

    CSS = f"""
    SentOrdersScreen > #message {{
        height: {ROWS}; background: $c-raised; text-wrap: nowrap; text-overflow: ellipsis;
    }}
    """
    KEYS: ClassVar[tuple[Binding, ...]] = (
        Binding("slash", "find", "filter", key_display="/", tooltip="filter by words", id="orders-filter"),
        Binding("f", "follow", "follow", tooltip="follow the newest, or stay", id="orders-follow"),
    )
    BINDINGS: ClassVar[list[BindingType]] = [*KEYS]

    def __init__(self, journal: Journal, settings: Callable[[], Settings | None]) -> None:
        super().__init__(_TITLE)
        self._journal = journal
        self._settings = settings
        self._words = ""
        self._following = True
        self._listed: list[SentOrder] = []
        self._journeys: dict[SentOrder, Journey] = {}
        self._asked: SentOrder | None = None
        self._asking: Worker[None] | None = None
        """Asks the API for the order that was asked for last."""

    def body(self) -> Iterable[Widget]:
        """Return the filter, the table and the journey."""
        yield Input(placeholder="words to filter by, Enter", id="filter")
        yield DataTable(cursor_type="row", id="sent")
        yield Static(named(self, _EMPTY), id="message")

    def on_mount(self) -> None:
        """Fill the table, then once a second."""
        self.query_one(DataTable).focus()
        self.set_interval(_EVERY_S, self._tick)

    def on_resize(self) -> None:
        """Fit the columns to the cells there are."""
        table, chosen = self.query_one(DataTable), self._chosen()
        table.clear(columns=True)
        heads = ("", "answered", "order", "answer", "after", "message id")
        table.add_columns(*(heads if self.size.width >= _ROOMY else heads[:-1]))
        self._listed = []
        self._fill(chosen)

    def _tick(self) -> None:
        self._fill()
        self._ask()

    def _ask(self) -> None:
        # An answer may take longer than a tick: asked again meanwhile, or for a newer one, it would never come.
        chosen = self._chosen()
        if self._asking is None or self._asking.is_finished or not (self._following or self._asked == chosen):
            self._asked, self._asking = chosen, self._follow_journey()

    def _fill(self, chosen: SentOrder | None = None) -> None:
        chosen = chosen or self._chosen()
        latest = self._journal.latest(_ROWS, self._words)
        if not self._following and chosen is not None and chosen not in latest:
            latest = [*latest, chosen]
        if latest == self._listed:
            return
        table = self.query_one(DataTable)
        self._listed = latest
        table.clear()
        for order in latest:
            table.add_row(*_cells(order, self.size.width))
        if not self._following and chosen in latest:
            table.move_cursor(row=latest.index(chosen))

    def _chosen(self) -> SentOrder | None:
        row = self.query_one(DataTable).cursor_row
        return self._listed[row] if 0 <= row < len(self._listed) else None

    @work(exclusive=True)
    async def _follow_journey(self) -> None:
        order, settings = self._chosen(), self._settings()
        message = self.query_one("#message", Static)
        if order is None:
            message.update("no order matches" if self._words else named(self, _EMPTY))
        elif settings is None:
            message.update("a recording: there is nobody to ask")
        else:
            journey = (await fetch_journey(settings, order)).with_shown_time(self._journeys.get(order), now_us())
            # Of the chosen one alone: what nobody watches, nobody has seen arrive.
            self._journeys = {order: journey}
            message.update(journey_rows(order, journey))

    def on_data_table_row_highlighted(self, event: DataTable.RowHighlighted) -> None:
        """Stay with an order that was chosen; the first row follows the newest."""
        if event.cursor_row > 0 and event.cursor_row < len(self._listed):
            self._follow(on=False)
        self._ask()

    def text(self) -> str:
        """Return the orders that are listed, and the journey of the chosen one where it is known."""
        lines = ["  ".join(cell.plain for cell in _cells(order, _ROOMY)) for order in self._listed]
        order = self._chosen()
        if order in self._journeys:
            lines += ["", journey_rows(order, self._journeys[order]).plain]
        return "\n".join(lines) or named(self, _EMPTY)

    def copied(self) -> str:
        """Return the chosen order's id."""
        order = self._chosen()
        return (order.message_id if order else None) or self.text()

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
        self._follow(on=not self._following)
        if self._following:
            self.query_one(DataTable).move_cursor(row=0)

    def _follow(self, *, on: bool) -> None:
        self._following = on
        self.set_title(_TITLE if on else "Orders · staying: {orders-follow} follows the newest again")


def _cells(order: SentOrder, width: int) -> list[Text]:
    glyph, colour = _ANSWERS[order.outcome]
    answer = [glyph, *([order.outcome] if width >= _ROOMY or order.status is None else [])]
    what = order.what if width >= _EASY else order.what.partition(",")[0]
    found = [
        Text(str(order.pipeline), f"bold {ACCENT[order.pipeline]}"),
        Text(clock(order.answered_us, exact=width >= _EASY), GREY),
        Text(what, TEXT),
        Text(" ".join([*answer, *([] if order.status is None else [str(order.status)])]), colour),
        Text(latency(order.latency_us).rjust(7), TEXT),
    ]
    return [*found, Text(order.message_id or order.reason, GREY)] if width >= _ROOMY else found


def journey_rows(order: SentOrder, journey: Journey) -> Text:
    """Return the order and its steps (accepted, stored, shown) with their times, or why nothing is known."""
    text = Text().append(f"{order.pipeline}  ", f"bold {ACCENT[order.pipeline]}")
    text.append(order.what, f"bold {TEXT}").append(f"   {order.message_id or ''}", GREY)
    if journey.trouble:
        return text.append(f"\n· {journey.trouble}", GREY)
    accepted_us, stored_us = journey.accepted_us, journey.stored_us
    if accepted_us is not None:
        _step(text, "accepted", accepted_us, "the API's clock")
    else:
        _step(text, "accepted by", order.answered_us, "when it was answered; its own time comes with its row")
    if stored_us is not None and accepted_us is not None:
        later = latency(max(0, stored_us - accepted_us))
        _step(text, "stored", stored_us, f"+{later}, PostgreSQL's clock")
    else:
        _without_time(text, "stored", journey.stored)
    if journey.shown_by_us is not None:
        _step(text, "shown by", journey.shown_by_us, "as this page saw it, which looks once a second")
    else:
        _without_time(text, "shown", journey.shown)
    return text


def clock(time_us: int, *, exact: bool = True) -> str:
    """Write a time of day, to the millisecond where ``exact``."""
    moment = datetime.fromtimestamp(time_us / 1e6).astimezone()
    return moment.strftime("%H:%M:%S.%f")[:-3] if exact else moment.strftime("%H:%M:%S")


def _step(text: Text, step: str, at_us: int, whose: str) -> None:
    text.append("\n✓ ", TEXT).append(step.ljust(_STEP), GREY).append(clock(at_us).ljust(_TIME), TEXT)
    text.append(whose, DIM)


def _without_time(text: Text, step: str, known: bool | None) -> None:
    glyph, word = {True: ("✓", "yes; when is not known"), False: ("…", "not yet"), None: ("·", "not known")}[known]
    text.append(f"\n{glyph} ", TEXT).append(step.ljust(_STEP), GREY).append(word, TEXT)
