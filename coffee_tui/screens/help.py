"""Help, made from the bindings themselves: it cannot forget a key."""

from collections.abc import Iterable
from typing import ClassVar

from rich.table import Table
from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.events import Click
from textual.screen import ModalScreen
from textual.widgets import Static

from coffee_core.pipelines import PIPELINES
from coffee_tui.keymap import key_name
from coffee_tui.theme import AMBER, GREY, HEALTH, TEXT
from coffee_tui.widgets.format import listed
from coffee_tui.widgets.screenshot import copy_text

_ACTION = "pressed"
"""What a key does, beneath its words."""
_OVER = 100
"""From this many cells on the screen below is seen beside the keys."""


class HelpScreen(ModalScreen[str | None]):
    """Every key and what it does, every glyph and what it means; its result is the action that was clicked."""

    CSS = """
    HelpScreen { align: center middle; background: $c-ground 60%; }
    HelpScreen.full { background: $c-ground; }
    HelpScreen.full #help { max-width: 100%; max-height: 100%; }
    #help { width: 74; max-width: 96%; height: auto; max-height: 96%; background: $c-raised;
            border: round $c-rule; border-title-color: $c-text;
            border-subtitle-color: $c-grey; padding: 0 2; }
    #help Static { height: auto; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,question_mark,q", "dismiss", "close"),
        Binding("y", "copy", "copy"),
    ]

    def __init__(self, bindings: Iterable[Binding]) -> None:
        super().__init__()
        self._keys = list(bindings)

    def on_resize(self) -> None:
        """Hide the screen below where the keys leave only slivers of it."""
        self.set_class(self.size.width < _OVER, "full")

    def on_click(self, event: Click) -> None:
        """Do what the key under the pointer does; beside the keys, close."""
        action = event.style.meta.get(_ACTION)
        if action is not None or not self.query_one("#help").region.contains_point(event.screen_offset):
            self.dismiss(action)

    def action_copy(self) -> None:
        """Leave the keys as text."""
        lines = [f"{key_name(key):>8}  {key.tooltip or key.description}" for key in self._keys]
        text = "\n".join([*lines, _glyphs().plain])
        copy_text(self.app, text, text)

    def compose(self) -> ComposeResult:
        """List the keys, then the glyphs."""
        with VerticalScroll(id="help") as scroll:
            scroll.border_title = "Keys and signs"
            scroll.border_subtitle = "a click does it · esc closes"
            yield Static(_keys(self._keys), id="keys")
            yield Static(_glyphs())


def _keys(bindings: Iterable[Binding]) -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_column(justify="right", style=f"bold {AMBER}", min_width=7)
    table.add_column(style=TEXT)
    for binding in bindings:
        cells = [Text(key_name(binding)), Text(binding.tooltip or binding.description)]
        for cell in cells:
            cell.apply_meta({_ACTION: binding.action})
        table.add_row(*cells)
    return table


def _glyphs() -> Text:
    text = Text("\nA part: ", GREY)
    for health, (glyph, colour) in HEALTH.items():
        text.append(f"{glyph} ", colour).append(f"{health.value}  ", GREY)
    text.append("◷ timed", GREY)
    text.append("\nA link: orders a second, or ▪ how many wait there.", GREY)
    text.append("\nHow late: ● p50, ┫ p99, ┄× no order shown for so long.", GREY)
    text.append("\nA sparkline: ≤ its full height, × a fault struck, ░ it is felt.", GREY)
    text.append("\nA last line: ✓ well  · as it is meant  … behind  × broken.", GREY)
    in_runs = [pipeline for pipeline in PIPELINES if pipeline.info.shown_in_runs]
    runs = f"; {listed(in_runs)}: of its last run that brought orders" if in_runs else ""
    text.append(f"\np50, p99: of the last 10 s{runs}.", GREY)
    text.append("\nDashboard latency: from the API's acceptance to visible in Redis.", GREY)
    text.append("\nOther keys: `coffee-tui --keys` tells how.", GREY)
    return text
