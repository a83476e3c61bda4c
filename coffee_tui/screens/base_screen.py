"""The base of every screen, with the keys that all have, and of every page over Live."""

from collections.abc import Iterable
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.screen import Screen
from textual.widget import Widget
from textual.widgets import Input, Static

from coffee_tui.keymap import BoundApp, as_bound, named
from coffee_tui.screens.help import HelpScreen
from coffee_tui.widgets.keybar import KeyBar
from coffee_tui.widgets.screenshot import copy_text, picture, save

COPY = Binding("y", "copy", "copy", tooltip="the page as text: copied, and saved in this folder", id="copy")
PICTURE = Binding(
    "s", "picture", "picture", tooltip="save a picture of the screen (SVG) in this folder", id="picture"
)
THEME = Binding("t", "app.next_theme", "theme", tooltip="dark, light, the terminal's own colours", id="theme")
PALETTE = Binding(
    "ctrl+p", "app.command_palette", "palette", key_display="^p", tooltip="every action by name", id="palette"
)
HELP = Binding("question_mark", "help", "help", key_display="?", tooltip="this help", id="help")


class BaseScreen(Screen[None]):
    """A screen with keys of its own, and those to copy, save a picture, change colours and list every key.

    Its subclasses give ``shown_keys`` and ``text``.
    """

    COMMON_KEYS: ClassVar[tuple[Binding, ...]] = (COPY, PICTURE, THEME, PALETTE)

    def shown_keys(self) -> Iterable[Binding]:
        """Return every key that does something here, in the order of the last line."""
        raise NotImplementedError

    def bound(self, keys: Iterable[Binding]) -> list[Binding]:
        """Return these as they are bound: the settings file may have given them other keys."""
        return as_bound(keys, self.app.keys if isinstance(self.app, BoundApp) else {})

    def action_help(self) -> None:
        """Show every key; one that is clicked does what it does."""
        self.app.push_screen(HelpScreen(self.shown_keys()), self._run_pressed)

    async def _run_pressed(self, action: str | None) -> None:
        if action is not None:
            await self.run_action(action)

    def text(self) -> str:
        """Return what is shown, as text: what ``y`` leaves in a file."""
        raise NotImplementedError

    def copied(self) -> str:
        """Return what goes to the clipboard: the text, unless overridden."""
        return self.text()

    def action_copy(self) -> None:
        """Leave the text of the page: in the clipboard, and in a file."""
        copy_text(self.app, self.text(), self.copied())

    def action_picture(self) -> None:
        """Save a picture."""
        save(self.app, "svg", picture(self.app), "saved")


CLOSE = Binding("escape,q", "close", "back", key_display="esc", tooltip="back", id="close")


class Page(BaseScreen):
    """A screen over Live: a title, a body, its keys; Escape leads back. Its title may name keys, see ``named``."""

    KEYS: ClassVar[tuple[Binding, ...]] = ()
    """Keys of this page, beside the one that closes it."""
    BINDINGS: ClassVar[list[BindingType]] = [*BaseScreen.COMMON_KEYS, HELP, CLOSE]

    def __init__(self, title: str) -> None:
        super().__init__()
        self._title = title

    def compose(self) -> ComposeResult:
        """Lay out the title, the body and the keys."""
        yield Static(named(self, self._title), id="title")
        yield from self.body()
        yield KeyBar(self.shown_keys(), lambda _: True)

    def shown_keys(self) -> tuple[Binding, ...]:
        """Return every key of this page."""
        return tuple(self.bound((*self.KEYS, *self.COMMON_KEYS, HELP, CLOSE)))

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

    def set_title(self, title: str) -> None:
        """Change the title."""
        self.query_one("#title", Static).update(named(self, title))
