"""Pictures of the screen as SVG that needs nothing from anywhere: no font is fetched when it is looked at."""

import re
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
