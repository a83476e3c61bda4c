"""The keys of the Live screen: the footer and the help are made from them."""

from itertools import combinations

from textual.binding import Binding

from coffee_core.pipelines import Pipeline
from coffee_tui.screens.manners import HELP, Manners

KEYS: tuple[Binding, ...] = (
    Binding("1", "order('v1')", "order v1", tooltip="one order into v1 (Direct)"),
    Binding("2", "order('v2')", "v2", tooltip="one order into v2 (Streams)"),
    Binding("3", "order('v3')", "v3", tooltip="one order into v3 (Kafka + Flink)"),
    Binding("a", "order('v1,v2,v3')", "all", tooltip="one order into each"),
    Binding("space", "load", "start/stop", tooltip="start or stop the load"),
    Binding("plus,equals_sign", "rate(1)", "rate", key_display="+", tooltip="more orders per second"),
    Binding("minus", "rate(-1)", "", key_display="-", show=False, tooltip="fewer orders per second"),
    Binding("g", "plan", "settings", tooltip="the load's settings: shape, rate, mix, shares"),
    Binding("i", "into", "into", tooltip="choose which pipelines get the load"),
    Binding("b", "burst", "burst", tooltip="a burst into each chosen pipeline, as large as g says"),
    Binding("x", "faults", "break", tooltip="break a part on purpose, and see what it costs"),
    Binding("c", "compare", "compare", tooltip="what is claimed, and what was measured just now"),
    Binding("o", "sent", "orders", tooltip="the latest orders, and where each is"),
    Binding("w", "windows", "windows", tooltip="orders a minute by their own time, and those that came late"),
    Binding("l", "logs", "logs", tooltip="the log of each process"),
    Binding("p", "pause", "pause", tooltip="hold the view, or the recording; data goes on"),
    *Manners.MANNERS,
    Binding("full_stop", "step", "step", key_display=".", tooltip="recording: one snapshot on"),
    Binding(
        "greater_than_sign,right_square_bracket",
        "faster(1)",
        "faster",
        key_display=">",
        show=False,
        tooltip="recording: faster",
    ),
    Binding(
        "less_than_sign,left_square_bracket",
        "faster(-1)",
        "slower",
        key_display="<",
        show=False,
        tooltip="recording: slower",
    ),
    Binding("tab", "column", "", show=False, tooltip="the next column, where there is room for one alone"),
    HELP,
    Binding("q", "app.quit", "quit", tooltip="quit (so does Ctrl-C)"),
)
"""Every key, in the order of the footer."""


def choices(pipelines: tuple[Pipeline, ...]) -> list[tuple[Pipeline, ...]]:
    """Return the sets of pipelines to choose from: all of them, each alone, then each pair."""
    sets = [pipelines, *combinations(pipelines, 1), *combinations(pipelines, 2)]
    return list(dict.fromkeys(sets))
