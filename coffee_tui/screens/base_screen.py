"""The base of every screen, with the keys that all have, and of every page over Live."""

import time
from collections.abc import Iterable
from pathlib import Path
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.screen import Screen
from textual.widget import Widget
from textual.widgets import Input, Static

from coffee_tui.screens.help import HelpScreen
from coffee_tui.widgets.keybar import KeyBar
from coffee_tui.widgets.screenshot import picture

COPY = Binding("y", "copy", "copy", tooltip="copy the figures, or the chosen order's id")
PICTURE = Binding("s", "picture", "picture", tooltip="save a picture of the screen (SVG) in this folder")
THEME = Binding("t", "app.next_theme", "theme", tooltip="dark, light, the terminal's own colours")
PALETTE = Binding("ctrl+p", "app.command_palette", "palette", key_display="^p", tooltip="every action by name")
HELP = Binding("question_mark", "help", "help", key_display="?", tooltip="this help")


class BaseScreen(Screen[None]):
    """A screen with keys of its own, and those to copy, save a picture, change colours and list every key.

    Its subclasses give ``shown_keys`` and ``copied``.
    """

    COMMON_KEYS: ClassVar[tuple[Binding, ...]] = (COPY, PICTURE, THEME, PALETTE)

    def shown_keys(self) -> Iterable[Binding]:
        """Return every key that does something here, in the order of the last line."""
        raise NotImplementedError

    def action_help(self) -> None:
        """Show every key; one that is clicked does what it does."""
        self.app.push_screen(HelpScreen(self.shown_keys()), self._run_pressed)

    async def _run_pressed(self, action: str | None) -> None:
        if action is not None:
            await self.run_action(action)

    def copied(self) -> str:
        """Return what is copied here; empty where there is nothing."""
        return ""

    def action_copy(self) -> None:
        """Copy, by way of the terminal: works over SSH too."""
        text = self.copied()
        if text:
            self.app.copy_to_clipboard(text)
        self.app.notify("copied" if text else "nothing to copy here", timeout=2)

    def action_picture(self) -> None:
        """Save a picture beside where the dashboard was started."""
        path = Path(time.strftime("coffee-%Y%m%d-%H%M%S.svg")).absolute()
        try:
            path.write_text(picture(self.app), encoding="utf-8")
        except OSError as error:
            self.app.notify(f"{path} cannot be written: {error.strerror}", severity="error")
        else:
            self.app.notify(f"saved {path}", timeout=4)


CLOSE = Binding("escape,q", "close", "back", key_display="esc", tooltip="back")


class Page(BaseScreen):
    """A screen over Live: a title, a body, its keys; Escape leads back."""

    KEYS: ClassVar[tuple[Binding, ...]] = ()
    """Keys of this page, beside the one that closes it."""
    BINDINGS: ClassVar[list[BindingType]] = [*BaseScreen.COMMON_KEYS, HELP, CLOSE]

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
        return (*self.KEYS, *self.COMMON_KEYS, HELP, CLOSE)

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
        self.query_one("#title", Static).update(title)
