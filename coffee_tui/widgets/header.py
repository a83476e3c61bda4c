"""The top line: how each part stands, how the dashboard learns of changes, how long the stack is up."""

from collections.abc import Sequence

from rich.text import Text
from textual.reactive import reactive

from coffee_core.pipelines import PIPELINES
from coffee_tui.data.snapshot import Health, Link, PartView, Snapshot
from coffee_tui.keymap import named
from coffee_tui.theme import AMBER, DIM, GREY, HEALTH, RED, TEXT
from coffee_tui.widgets.format import in_words, uptime
from coffee_tui.widgets.rows import RowsWidget

_SHORT = {
    "cafe-order-api": "api",
    "flink-jobmanager": "flink",
    "flink-taskmanager": "flink",
    "flink-job": "flink",
    **{service.name: service.short or service.name for each in PIPELINES for service in each.info.services},
}
_WORST_FIRST = (Health.BROKEN, Health.STARTING, Health.WAITING, Health.UNKNOWN, Health.GOOD)


class Header(RowsWidget):
    """One row."""

    DEFAULT_CSS = "Header { height: 1; padding: 0 1; }"

    snapshot: reactive[Snapshot] = reactive(Snapshot(), repaint=False)
    """What to show."""

    paused: reactive[bool] = reactive(False)
    """Whether the view is held."""

    hint: reactive[str] = reactive("")
    """Where what is hidden would be shown; empty where nothing is."""

    def watch_snapshot(self, before: Snapshot, now: Snapshot) -> None:
        """Draw again only where something in this row has changed."""
        if _inputs(before) != _inputs(now):
            self.redraw()

    def rows(self, width: int) -> list[Text]:
        """Return one row: the name at the left, the rest at the right."""
        snapshot = self.snapshot
        mode = Text(named(self, "view held: {pause} goes on"), AMBER) if self.paused else _mode(snapshot)
        end = [*_durability(snapshot), mode, _uptime(snapshot)]
        right = Text("  ").join([*_groups(snapshot), *end])
        left = Text("coffee-rt", f"bold {TEXT}")
        if width > right.cell_len + 48:
            left.append(f"  {in_words(len(snapshot.pipelines))} ways to take an order", GREY)
        if left.cell_len + 1 + right.cell_len > width:
            left = Text()
        if right.cell_len > width:
            right = Text("  ").join([_in_short(snapshot), *end])
            left = Text(self.hint, DIM) if len(self.hint) + 2 + right.cell_len <= width else Text()
        gap = max(0, width - left.cell_len - right.cell_len)
        return [Text().append(left).append(" " * gap).append(right)]


def _inputs(snapshot: Snapshot) -> object:
    columns = len(snapshot.pipelines)
    links = snapshot.api, snapshot.redis, snapshot.mode
    return columns, snapshot.parts, links, snapshot.uptime_s, snapshot.fault, snapshot.durability


def _groups(snapshot: Snapshot) -> list[Text]:
    groups: dict[str, list[PartView]] = {}
    for part in snapshot.parts:
        groups.setdefault(short_name(part.name), []).append(part)
    links = {"api": snapshot.api, "redis": snapshot.redis}
    for name in links:
        groups.setdefault(name, [])
    return [_group(name, parts, links.get(name)) for name, parts in sorted(groups.items())]


def _in_short(snapshot: Snapshot) -> Text:
    """Name the parts that are not well and count the others."""
    troubled = [part for part in snapshot.parts if not part.good]
    well = Text(f"{len(snapshot.parts) - len(troubled)} of {len(snapshot.parts)} parts ", GREY)
    well.append(*HEALTH[Health.GOOD])
    return Text("  ").join([*(_group(short_name(part.name), [part], None) for part in troubled[:2]), well])


def short_name(name: str) -> str:
    """Return a part's name as the header has room for it."""
    for long, short in _SHORT.items():
        if name.startswith(long):
            return short
    return name


def _group(name: str, parts: Sequence[PartView], link: Link | None) -> Text:
    healths = [part.health for part in parts]
    if link is not None and (link.up is False or not healths):
        healths.append({True: Health.GOOD, False: Health.BROKEN, None: Health.UNKNOWN}[link.up])
    worst = next(health for health in _WORST_FIRST if health in healths)
    glyph, colour = HEALTH[worst]
    return Text(f"{name} ", GREY if worst is Health.GOOD else colour).append(glyph, colour)


def _durability(snapshot: Snapshot) -> list[Text]:
    """Return the notch of the dial, where it is not the default: what is promised is another thing then."""
    if not snapshot.durability:
        return []
    return [Text(snapshot.durability, GREY if snapshot.durability == "strict" else AMBER)]


def _mode(snapshot: Snapshot) -> Text:
    if snapshot.fault:
        return Text(f"× {snapshot.fault}", RED)
    if snapshot.redis.up is False:
        return Text("no connection", RED)
    return Text(snapshot.mode, DIM if snapshot.mode == "live" else AMBER)


def _uptime(snapshot: Snapshot) -> Text:
    return Text("up ", GREY).append(uptime(snapshot.uptime_s).rjust(5), f"bold {TEXT}")
