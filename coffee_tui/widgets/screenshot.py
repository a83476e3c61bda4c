"""What a screen leaves in a file: its text, or a picture (SVG) that fetches nothing when it is looked at."""

import re
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from textual.app import App

_FONT_FACE = re.compile(r"\s*@font-face \{.*?\}", re.DOTALL)


def picture(app: "App[Any]") -> str:
    """Return what the app shows now, as SVG."""
    return self_contained(app.export_screenshot(title="coffee-tui"))


def self_contained(svg: str) -> str:
    """Return the SVG without its references to fonts elsewhere: the viewer's own monospace font is used."""
    return _FONT_FACE.sub("", svg)


def copy_text(app: "App[Any]", text: str, copied: str) -> None:
    """Copy by way of the terminal (OSC 52: over SSH too); save the whole text in this folder.

    Not every terminal lets programs copy, and none says so: the file is there in any case.
    """
    app.copy_to_clipboard(copied)
    save(app, "txt", text + "\n", "copied, and saved")


def save(app: "App[Any]", ending: str, content: str, done: str) -> None:
    """Write a file with the time in its name beside where the dashboard was started; say where it is."""
    path = Path(time.strftime(f"coffee-%Y%m%d-%H%M%S.{ending}")).absolute()
    try:
        path.write_text(content, encoding="utf-8")
    except OSError as error:
        app.notify(f"{path} cannot be written: {error.strerror}", severity="error")
    else:
        app.notify(f"{done} {path}", timeout=4)
