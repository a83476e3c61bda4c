"""The last line: the keys that there is room for; help and quit are never the ones that go."""

from collections.abc import Callable, Iterable

from rich.text import Text
from textual import events
from textual.binding import Binding

from coffee_tui.keymap import key_name
from coffee_tui.theme import AMBER, GREY
from coffee_tui.widgets.rows import RowsWidget

_TIGHT, _AIRY = 1, 2
_KEPT = 2
"""Keys at the end that always stay."""


class KeyBar(RowsWidget):
    """Key and word for as many bindings as fit; a click does what the key does."""

    DEFAULT_CSS = "KeyBar { height: 1; dock: bottom; }"

    def __init__(self, bindings: Iterable[Binding], enabled: Callable[[Binding], bool]) -> None:
        super().__init__()
        self._keys: list[Binding] = [binding for binding in bindings if binding.show]
        self._enabled = enabled
        self._spans: list[tuple[int, int, str]] = []

    def rows(self, width: int) -> list[Text]:
        """Return the keys and remember where each stands."""
        bindings = [binding for binding in self._keys if self._enabled(binding)]
        shown = fitting(bindings, width)
        gap = _AIRY if _needed(shown, _AIRY) <= width else _TIGHT
        row, self._spans = Text(), []
        for binding in shown:
            row.append(" " * gap if row else " ")
            start = row.cell_len
            row.append(key_name(binding), f"bold {AMBER}")
            row.append(f" {binding.description}" if binding.description else "", GREY)
            self._spans.append((start, row.cell_len, binding.action))
        return [row]

    async def on_click(self, event: events.Click) -> None:
        """Do what the key under the pointer does."""
        for start, end, action in self._spans:
            if start <= event.x < end:
                await self.screen.run_action(action)
                return


def fitting(bindings: list[Binding], width: int) -> list[Binding]:
    """Return the bindings that fit into ``width`` cells: the first ones, and always the last two."""
    first, kept = bindings[:-_KEPT], bindings[-_KEPT:]
    while first and _needed([*first, *kept], _TIGHT) > width:
        first = first[:-1]
    return [*first, *kept]


def _needed(bindings: list[Binding], gap: int) -> int:
    words = (f"{key_name(binding)} {binding.description}".rstrip() for binding in bindings)
    return 1 + sum(len(word) + gap for word in words) - gap
