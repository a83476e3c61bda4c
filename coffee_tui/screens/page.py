"""The base of every screen beside Live: a title, a body, its keys; Escape leads back."""

from collections.abc import Iterable
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.screen import Screen
from textual.widget import Widget
from textual.widgets import Static

from coffee_tui.screens.manners import Manners
from coffee_tui.widgets.keybar import KeyBar

CLOSE = Binding("escape,q", "close", "back", key_display="esc", tooltip="back")


class Page(Manners, Screen[None]):
    """A screen over Live."""

    KEYS: ClassVar[tuple[Binding, ...]] = ()
    """Keys of this page, beside the one that closes it."""
    BINDINGS: ClassVar[list[BindingType]] = [*Manners.MANNERS, CLOSE]

    def __init__(self, title: str) -> None:
        super().__init__()
        self._title = title

    def compose(self) -> ComposeResult:
        """Lay out the title, the body and the keys."""
        yield Static(self._title, id="title")
        yield from self.body()
        yield KeyBar((*self.KEYS, *self.MANNERS, CLOSE), lambda _: True)

    def body(self) -> Iterable[Widget]:
        """Return what stands between the title and the keys."""
        raise NotImplementedError

    def action_close(self) -> None:
        """Go back."""
        self.dismiss()
