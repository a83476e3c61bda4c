"""Pictures of matplotlib, and how they come into a page: text stays text, colours become those of its theme.

The colours of the pipelines are those of the dashboard.
"""

import io
import re
from typing import Any

from cycler import cycler
from matplotlib.figure import Figure

from coffee_core.pipelines import Pipeline

_COLOURS = ("#E69F00", "#56B4E9", "#CC79A7", "#009E73", "#F0E442")
"""Of Okabe and Ito, by the slot that a pipeline declares: colour-blind eyes distinguish them, too."""
_MARKERS = ("o", "s", "^", "D", "v")
INK, SOFT, FAULT, PAPER, _GRID = "#444444", "#999999", "#B00020", "#FFFFFF", "#DDDDDD"
_VARIABLES = {
    INK: "ink",
    SOFT: "soft",
    FAULT: "fault",
    PAPER: "paper",
    _GRID: "grid",
    **{colour: f"slot-{slot}" for slot, colour in enumerate(_COLOURS)},
}
"""Colour as it is drawn → the variable of ``page.css`` that takes its place."""
STYLE: dict[Any, Any] = {
    "font.size": 11,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": _GRID,
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "svg.hashsalt": "coffee-rt",
}
"""Settings of matplotlib for every picture."""
PAGE_STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "font.size": 10,
    "font.sans-serif": ["DejaVu Sans", "sans-serif"],
    "axes.titlesize": 10,
    "legend.fontsize": 9,
    "axes.prop_cycle": cycler(color=[INK]),
}
"""What a picture of a page has by itself."""
NARROW = (4.6, 2.9)
"""Inches of one panel of a page: on a phone of 360 pixels its 10 points are still 10 pixels high."""
_METADATA = re.compile(r"<metadata>.*?</metadata>", re.DOTALL)
_STYLE = re.compile(r"<style.*?</style>", re.DOTALL)
_ID = re.compile(r' id="([^"]*)"')
_REFERENCE = re.compile(r'(url\(#|href="#)([^)"]*)')
_SIZES = re.compile(r' (?:width|height)="[^"]*pt"')


def themed_svg(figure: Figure, name: str) -> str:
    """Return a figure as an ``svg`` element whose ids begin with ``name``."""
    buffer = io.StringIO()
    lay_out(figure)
    figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    for unwanted in (_METADATA, _STYLE, _SIZES):
        text = unwanted.sub("", text)
    # Several of them are in one document: no id may be there twice.
    used = {found[2] for found in _REFERENCE.finditer(text)}
    text = _ID.sub(lambda found: f' id="{name}-{found[1]}"' if found[1] in used else "", text)
    text = _REFERENCE.sub(lambda found: f"{found[1]}{name}-{found[2]}", text)
    for colour, variable in _VARIABLES.items():
        text = re.sub(colour, f"var(--{variable})", text, flags=re.IGNORECASE)
    return text


def lay_out(figure: Figure) -> None:
    """Give each panel its room, once: a figure that lays itself out is drawn twice by each ``savefig``."""
    if (engine := figure.get_layout_engine()) is not None:
        engine.execute(figure)
        figure.set_layout_engine("none")


def colour_of(pipeline: Pipeline) -> str:
    """Return the colour of a pipeline."""
    return _COLOURS[pipeline.info.colour % len(_COLOURS)]


def line_of(pipeline: Pipeline) -> dict[str, Any]:
    """Return how a line of a pipeline is drawn, with its name for the legend."""
    return {
        "color": colour_of(pipeline),
        "marker": _MARKERS[pipeline.info.colour % len(_MARKERS)],
        "markersize": 5,
        "linewidth": 2,
        "label": f"{pipeline} {pipeline.info.title}",
    }
