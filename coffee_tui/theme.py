"""Colours and glyphs: one dark ground, much grey, one accent for each pipeline, red for what is broken alone."""

from coffee_core.pipelines import Pipeline
from coffee_tui.feed.snapshot import Health, Mood

GROUND = "#0f151b"
RAISED = "#18212a"
RULE = "#2b343d"
GREY = "#87919b"
DIM = "#4c565f"
TEXT = "#e6edf3"
RED = "#f0605a"
AMBER = "#e3b341"
FELT = "#3a1c1e"
"""Ground of the time in which a fault on purpose is felt."""

ACCENT = {Pipeline.V1: "#E69F00", Pipeline.V2: "#56B4E9", Pipeline.V3: "#CC79A7"}
"""From the Okabe–Ito set, which colour-blind eyes tell apart."""

HEALTH = {
    Health.GOOD: ("●", "#9fb8a3"),
    Health.STARTING: ("▲", AMBER),
    Health.WAITING: ("○", GREY),
    Health.BROKEN: ("×", RED),
    Health.UNKNOWN: ("·", DIM),
}
"""Glyph and colour of each health: the glyph alone tells them apart."""

MOOD = {Mood.GOOD: ("✓", GREY), Mood.CALM: ("·", GREY), Mood.BUSY: ("…", AMBER), Mood.BROKEN: ("×", RED)}
"""Glyph and colour of each kind of sentence."""
