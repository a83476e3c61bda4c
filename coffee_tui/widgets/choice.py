"""Boxes and radio buttons that are told apart by their glyph, not by its colour alone."""

from textual.widgets import Checkbox, RadioButton


class Box(Checkbox):
    """Ticked, or a dot where a tick would be."""

    BUTTON_LEFT = BUTTON_RIGHT = " "

    @property
    def BUTTON_INNER(self) -> str:  # type: ignore[override]  # noqa: N802
        """The glyph."""
        return "✓" if self.value else "·"


class Radio(RadioButton):
    """A full or an open circle."""

    BUTTON_LEFT = BUTTON_RIGHT = " "

    @property
    def BUTTON_INNER(self) -> str:  # type: ignore[override]  # noqa: N802
        """The glyph."""
        return "●" if self.value else "○"
