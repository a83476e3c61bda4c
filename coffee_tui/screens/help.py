"""Help, made from the bindings themselves: it cannot forget a key."""

from collections.abc import Iterable
from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Static

from coffee_tui.theme import AMBER, GREY, HEALTH, TEXT


class HelpScreen(ModalScreen[None]):
    """Every key and what it does, every glyph and what it means."""

    CSS = """
    HelpScreen { align: center middle; background: $c-ground 60%; }
    #help { width: 74; max-width: 96%; height: auto; max-height: 96%; background: $c-raised;
            border: round $c-rule; border-title-color: $c-text; padding: 0 2; }
    #help Static { height: auto; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,question_mark,q", "dismiss", "close")]

    def __init__(self, bindings: Iterable[Binding]) -> None:
        super().__init__()
        self._keys = list(bindings)

    def compose(self) -> ComposeResult:
        """List the keys, then the glyphs."""
        with VerticalScroll(id="help") as scroll:
            scroll.border_title = "Keys"
            yield Static(_keys(self._keys), id="keys")
            yield Static(_glyphs())


def _keys(bindings: Iterable[Binding]) -> Text:
    text = Text()
    for binding in bindings:
        text.append(f"{binding.key_display or binding.key:>7}  ", f"bold {AMBER}")
        text.append(f"{binding.tooltip or binding.description}\n", TEXT)
    return text


def _glyphs() -> Text:
    text = Text("A part: ", GREY)
    for health, (glyph, colour) in HEALTH.items():
        text.append(f"{glyph} ", colour).append(f"{health.value}  ", GREY)
    text.append("\np50, p99: of the last 10 s; v1: of its last run that brought orders.", GREY)
    text.append("\nDashboard latency: from the API's acceptance to visible in Redis.", GREY)
    return text
