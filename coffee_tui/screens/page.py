"""The base of every screen beside Live: a title, a body, its keys; Escape leads back."""

from collections.abc import Iterable
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.widget import Widget
from textual.widgets import Input, Static

from coffee_tui.screens.manners import HELP, Manners
from coffee_tui.widgets.keybar import KeyBar

CLOSE = Binding("escape,q", "close", "back", key_display="esc", tooltip="back")


class Page(Manners):
    """A screen over Live."""

    KEYS: ClassVar[tuple[Binding, ...]] = ()
    """Keys of this page, beside the one that closes it."""
    BINDINGS: ClassVar[list[BindingType]] = [*Manners.MANNERS, HELP, CLOSE]

    def __init__(self, title: str) -> None:
        super().__init__()
        self._title = title

    def compose(self) -> ComposeResult:
        """Lay out the title, the body and the keys."""
        yield Static(self._title, id="title")
        yield from self.body()
        yield KeyBar(self.shown_keys(), lambda _: True)

    def shown_keys(self) -> tuple[Binding, ...]:
        """Return every key of this page."""
        return (*self.KEYS, *self.MANNERS, HELP, CLOSE)

    def body(self) -> Iterable[Widget]:
        """Return what stands between the title and the keys."""
        raise NotImplementedError

    def action_close(self) -> None:
        """Close the field that is open, else go back."""
        for field in self.query(Input):
            if field.has_class("open"):
                field.remove_class("open")
                self.focus_next()
                return
        self.dismiss()

    def say_title(self, title: str) -> None:
        """Change the title."""
        self.query_one("#title", Static).update(title)
