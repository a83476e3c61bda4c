"""What every screen can do: copy, save a picture. Each says what it has done."""

import time
from pathlib import Path
from typing import ClassVar

from textual.app import App
from textual.binding import Binding

from coffee_tui.widgets.picture import picture

COPY = Binding("y", "copy", "copy", tooltip="copy the figures, or the chosen order's id")
PICTURE = Binding("s", "picture", "picture", tooltip="save a picture of the screen (SVG) in this folder")


class Manners:
    """Mixed into a screen; ``copied`` is its own."""

    MANNERS: ClassVar[tuple[Binding, ...]] = (COPY, PICTURE)
    app: "App[object]"

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
