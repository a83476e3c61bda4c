"""Orders by drink and by store, as bars on one scale for all columns."""

from rich.text import Text

from coffee_tui.feed.snapshot import PipelineView
from coffee_tui.theme import GREY, TEXT
from coffee_tui.widgets.block import Block, Shared, accent
from coffee_tui.widgets.scale import bar

_LABEL = 11
_COUNT = 9


class _Breakdown(Block):
    def _counts(self, view: PipelineView) -> tuple[tuple[str, int], ...]:
        raise NotImplementedError

    def drawn_from(self, view: PipelineView, shared: Shared) -> object:
        """Return what the rows are made of."""
        return self._counts(view), shared.top_count

    def rows(self, view: PipelineView, width: int, shared: Shared) -> list[Text]:
        """Return one row for each name: label, bar, count."""
        room = max(0, width - _LABEL - _COUNT)
        return [
            Text(name.ljust(_LABEL), GREY)
            .append(bar(count / shared.top_count, room).ljust(room), accent(view))
            .append(f"{count:,}".rjust(_COUNT), TEXT if count else GREY)
            for name, count in self._counts(view)
        ]


class Drinks(_Breakdown):
    """Orders by drink."""

    def _counts(self, view: PipelineView) -> tuple[tuple[str, int], ...]:
        return view.drinks


class Stores(_Breakdown):
    """Orders by store."""

    def _counts(self, view: PipelineView) -> tuple[tuple[str, int], ...]:
        return view.stores
