"""Orders by drink and by store, as bars on one scale for all columns."""

from rich.text import Text
from textual.reactive import reactive

from coffee_core.menu import DRINKS, STORES
from coffee_tui.feed.snapshot import PipelineView
from coffee_tui.theme import GREY, TEXT
from coffee_tui.widgets.panel import ColumnPanel
from coffee_tui.widgets.scale import bar

_LABEL = 11
_COUNT = 9


class _Breakdown(ColumnPanel):
    top_count: reactive[int] = reactive(1)
    """Orders of a bar of full length."""

    def _counts(self, view: PipelineView) -> tuple[tuple[str, int], ...]:
        raise NotImplementedError

    def drawn_from(self, view: PipelineView) -> object:
        """Return what the rows are made of."""
        return self._counts(view)

    def rows(self, view: PipelineView, width: int) -> list[Text]:
        """Return one row for each name: label, bar, count."""
        room = max(0, width - _LABEL - _COUNT)
        return [
            Text(name.ljust(_LABEL), GREY)
            .append(bar(count / self.top_count, room).ljust(room), self.accent)
            .append(f"{count:,}".rjust(_COUNT), TEXT if count else GREY)
            for name, count in self._counts(view)
        ]


class Drinks(_Breakdown):
    """Orders by drink."""

    DEFAULT_CSS = f"Drinks {{ height: {len(DRINKS)}; }}"

    def _counts(self, view: PipelineView) -> tuple[tuple[str, int], ...]:
        return view.drinks


class Stores(_Breakdown):
    """Orders by store."""

    DEFAULT_CSS = f"Stores {{ height: {len(STORES)}; }}"

    def _counts(self, view: PipelineView) -> tuple[tuple[str, int], ...]:
        return view.stores
