"""Colours by name, and glyphs: much grey, one accent for each pipeline, red for what is broken alone.

The names are variables of the theme in force, in style sheets as in styles of texts; ``palettes`` says what each
of them is.
"""

from coffee_core.pipelines import Pipeline
from coffee_tui.feed.snapshot import Health, Mood

GROUND = "$c-ground"
RAISED = "$c-raised"
RULE = "$c-rule"
GREY = "$c-grey"
DIM = "$c-dim"
TEXT = "$c-text"
RED = "$c-red"
AMBER = "$c-amber"
WELL = "$c-well"
FELT = "$c-felt"
"""Ground of the time in which a fault on purpose is felt."""

ACCENT = {Pipeline.V1: "$c-v1", Pipeline.V2: "$c-v2", Pipeline.V3: "$c-v3"}
"""Orange, sky blue and pink of the Okabe–Ito set, which colour-blind eyes tell apart."""

HEALTH = {
    Health.GOOD: ("●", WELL),
    Health.STARTING: ("▲", AMBER),
    Health.WAITING: ("○", GREY),
    Health.BROKEN: ("×", RED),
    Health.UNKNOWN: ("·", DIM),
}
"""Glyph and colour of each health: the glyph alone tells them apart."""

MOOD = {Mood.GOOD: ("✓", GREY), Mood.CALM: ("·", GREY), Mood.BUSY: ("…", AMBER), Mood.BROKEN: ("×", RED)}
"""Glyph and colour of each kind of sentence."""
