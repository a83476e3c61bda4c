"""Large digits, three rows high, every digit three cells wide: a number that grows does not move the others."""

_ROWS = {
    "0": ("╭─╮", "│ │", "╰─╯"),
    "1": ("╶┐ ", " │ ", "╶┴╴"),
    "2": ("╶─╮", "┌─┘", "╰─╴"),
    "3": ("╶─╮", " ─┤", "╶─╯"),
    "4": ("╷ ╷", "╰─┤", "  ╵"),
    "5": ("╭─╴", "╰─╮", "╶─╯"),
    "6": ("╭─╴", "├─╮", "╰─╯"),
    "7": ("╶─┐", "  │", "  ╵"),
    "8": ("╭─╮", "├─┤", "╰─╯"),
    "9": ("╭─╮", "╰─┤", "╶─╯"),
    ",": (" ", " ", ","),
    " ": ("   ", "   ", "   "),
    "—": ("   ", "╶─╴", "   "),
}


def large(text: str, width: int) -> list[str]:
    """Return the three rows of a number, left-aligned in at least ``width`` cells.

    Raises KeyError of a character that is no digit, comma, space or dash.
    """
    return ["".join(_ROWS[character][row] for character in text).ljust(width) for row in range(3)]


NUMBER_WIDTH = 23
"""Cells of 9,999,999."""
