"""What every screen can do: copy, save a picture, change its colours, name every action and every key."""

import time
from collections.abc import Iterable
from pathlib import Path
from typing import ClassVar

from textual.binding import Binding
from textual.screen import Screen

from coffee_tui.screens.help import HelpScreen
from coffee_tui.widgets.picture import picture

COPY = Binding("y", "copy", "copy", tooltip="copy the figures, or the chosen order's id")
PICTURE = Binding("s", "picture", "picture", tooltip="save a picture of the screen (SVG) in this folder")
THEME = Binding("t", "app.next_theme", "theme", tooltip="dark, light, the terminal's own colours")
PALETTE = Binding("ctrl+p", "app.command_palette", "palette", key_display="^p", tooltip="every action by name")
HELP = Binding("question_mark", "help", "help", key_display="?", tooltip="this help")


class Manners(Screen[None]):
    """The base of every screen with keys of its own; ``shown_keys`` and ``copied`` are theirs."""

    MANNERS: ClassVar[tuple[Binding, ...]] = (COPY, PICTURE, THEME, PALETTE)

    def shown_keys(self) -> Iterable[Binding]:
        """Return every key that does something here, in the order of the last line."""
        raise NotImplementedError

    def action_help(self) -> None:
        """Show every key; one that is clicked does what it does."""
        self.app.push_screen(HelpScreen(self.shown_keys()), self._pressed)

    async def _pressed(self, action: str | None) -> None:
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
