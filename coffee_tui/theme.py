"""Colours by name, and glyphs: much grey, one accent for each pipeline, red for what is broken alone.

The names are variables of the theme in force, in style sheets as in styles of texts; ``PALETTES`` has
their values: on a dark ground, on a light one, or of the terminal's own sixteen colours.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from rich.style import Style
from rich.theme import Theme as Styles
from textual.app import App
from textual.theme import BUILTIN_THEMES, Theme

from coffee_core.pipelines import PIPELINES, Pipeline
from coffee_tui.data.snapshot import Health, Mood

GROUND = "$c-ground"
RAISED = "$c-raised"
RULE = "$c-rule"
GREY = "$c-grey"
DIM = "$c-dim"
TEXT = "$c-text"
RED = "$c-red"
AMBER = "$c-amber"
WELL = "$c-well"
LOOK = "$c-look"
"""Ground of what a talk speaks of."""
FELT = "$c-felt"
"""Ground of the time in which a fault on purpose is felt."""

SLOTS = tuple(f"$c-slot-{slot}" for slot in range(5))
"""Accents that pipelines choose from by their ``colour``: orange, sky blue, pink, bluish green and yellow of the
Okabe–Ito set, which colour-blind eyes distinguish."""


def slot(pipeline: Pipeline) -> int:
    """Return the index in ``SLOTS`` of a pipeline's accent; more pipelines than slots share them."""
    return pipeline.info.colour % len(SLOTS)


ACCENT = {pipeline: SLOTS[slot(pipeline)] for pipeline in PIPELINES}
"""Accent of each pipeline."""

HEALTH = {
    Health.GOOD: ("●", WELL),
    Health.STARTING: ("▲", AMBER),
    Health.WAITING: ("○", GREY),
    Health.BROKEN: ("×", RED),
    Health.UNKNOWN: ("·", DIM),
}
"""Glyph and colour of each health: the glyph alone distinguishes them."""

MOOD = {Mood.GOOD: ("✓", GREY), Mood.CALM: ("·", GREY), Mood.BUSY: ("…", AMBER), Mood.BROKEN: ("×", RED)}
"""Glyph and colour of each kind of sentence."""

# The greys are so little coloured that a terminal of 256 colours shows them as greys.
_DARK = {
    GROUND: "#121518",
    RAISED: "#1d2125",
    RULE: "#2f353b",
    GREY: "#94a0ab",
    DIM: "#6b7681",
    TEXT: "#e9ebed",
    RED: "#f0605a",
    AMBER: "#e3b341",
    WELL: "#9fb8a3",
    LOOK: "#2c3d4f",
    FELT: "#3a1c1e",
    **dict(zip(SLOTS, ("#e69f00", "#56b4e9", "#cc79a7", "#009e73", "#f0e442"), strict=True)),
}
_LIGHT = {
    GROUND: "#fbfbf9",
    RAISED: "#edeff1",
    RULE: "#c5ccd3",
    GREY: "#57606a",
    DIM: "#737c86",
    TEXT: "#1c2024",
    RED: "#c1272d",
    AMBER: "#8a5a00",
    WELL: "#3f7050",
    LOOK: "#d3e4f5",
    FELT: "#f8d9d6",
    **dict(zip(SLOTS, ("#9c5700", "#0069a6", "#a03a78", "#00704f", "#6b6100"), strict=True)),
}
_TERMINAL = {
    GROUND: "default",
    RAISED: "default",
    RULE: "bright_black",
    GREY: "default",
    DIM: "bright_black",
    TEXT: "default",
    RED: "red",
    AMBER: "yellow",
    WELL: "green",
    LOOK: "default",
    FELT: "default",
    **dict(zip(SLOTS, ("yellow", "cyan", "magenta", "green", "bright_blue"), strict=True)),
}
_OF_THE_TERMINAL = "terminal"
PALETTES: Mapping[str, Mapping[str, str]] = {"dark": _DARK, "light": _LIGHT, _OF_THE_TERMINAL: _TERMINAL}
"""Theme → name → colour as Rich writes it."""
DEFAULT = "dark"
"""What is shown until another one is chosen."""


def _palette(name: str, *, plain: bool) -> Mapping[str, str]:
    """Return a palette; where it is shown without its colours, an alarm must not be fainter than the text."""
    found = PALETTES.get(name, PALETTES[DEFAULT])
    return {**found, RED: found[TEXT], AMBER: found[TEXT]} if plain else found


def themes(*, plain: bool = False) -> Iterator[Theme]:
    """Yield the themes for Textual, ``plain`` ones where no colours are wanted."""
    for name in PALETTES:
        palette, ansi = _palette(name, plain=plain), name == _OF_THE_TERMINAL
        colour = {name: f"ansi_{value}" if ansi else value for name, value in palette.items()}
        yield Theme(
            name,
            primary=colour[SLOTS[1]],
            secondary=colour[SLOTS[0]],
            accent=colour[AMBER],
            warning=colour[AMBER],
            error=colour[RED],
            success=colour[WELL],
            foreground=colour[TEXT],
            background=colour[GROUND],
            surface=colour[RAISED],
            panel=colour[RAISED],
            dark=name != "light",
            ansi=ansi,
            variables={**(BUILTIN_THEMES["ansi-dark"].variables if ansi else {}), **variables(name, plain=plain)},
        )


def variables(name: str, *, plain: bool = False) -> dict[str, str]:
    """Return the variables of a theme for style sheets."""
    prefix = "ansi_" if name == _OF_THE_TERMINAL else ""
    return {variable.removeprefix("$"): prefix + value for variable, value in _palette(name, plain=plain).items()}


def styles(name: str, *, plain: bool = False) -> Styles:
    """Return the styles that texts may name: each colour, also bold and on a ground."""
    palette = _palette(name, plain=plain)
    # By weight as well: where there are no grounds it must be seen all the same.
    found: dict[str, Style] = {f"bold on {LOOK}": Style.parse(f"bold on {palette[LOOK]}")}
    for variable, colour in palette.items():
        for weight in ("", "bold ", "not bold "):
            found[f"{weight}{variable}"] = Style.parse(f"{weight}{colour}")
            for ground in palette:
                found[f"{weight}{variable} on {ground}"] = Style.parse(f"{weight}{_on(colour, palette[ground])}")
    return Styles(found)


def _on(colour: str, ground: str) -> str:
    # What stands on an accent has the colour of the ground, which of a terminal's palette nobody knows.
    return f"reverse {ground}" if colour == "default" and ground != "default" else f"{colour} on {ground}"


class ThemedApp(App[None]):
    """An app whose colours are those of a palette, in style sheets and in texts alike.

    Any other theme that is chosen keeps the texts of the default one.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for theme in themes(plain=self.no_color):
            self.register_theme(theme)
        self.console.push_theme(styles(DEFAULT, plain=self.no_color))
        self.theme = DEFAULT

    def get_theme_variable_defaults(self) -> dict[str, str]:
        """Return our variables for themes that do not have them."""
        return variables(DEFAULT, plain=self.no_color)

    def watch_theme(self, theme: str) -> None:
        """Give texts the colours of the theme; Textual draws everything again after this."""
        self.console.pop_theme()
        self.console.push_theme(styles(theme, plain=self.no_color))

    def action_next_theme(self) -> None:
        """Change to the next of our themes."""
        names = list(PALETTES)
        at = names.index(self.theme) if self.theme in names else -1
        self.theme = names[(at + 1) % len(names)]
