"""What the names of ``theme`` are: on a dark ground, on a light one, or of the terminal's own sixteen colours."""

from collections.abc import Iterator, Mapping

from rich.style import Style
from rich.theme import Theme as Styles
from textual.theme import BUILTIN_THEMES, Theme

from coffee_tui.theme import ACCENT, AMBER, DIM, FELT, GREY, GROUND, RAISED, RED, RULE, TEXT, WELL

V1, V2, V3 = ACCENT.values()

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
    FELT: "#3a1c1e",
    V1: "#e69f00",
    V2: "#56b4e9",
    V3: "#cc79a7",
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
    FELT: "#f8d9d6",
    V1: "#9c5700",
    V2: "#0069a6",
    V3: "#a03a78",
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
    FELT: "default",
    V1: "yellow",
    V2: "cyan",
    V3: "magenta",
}
PALETTES: Mapping[str, Mapping[str, str]] = {"dark": _DARK, "light": _LIGHT, "terminal": _TERMINAL}
"""Theme → name → colour as Rich writes it."""
DEFAULT = "dark"
"""What is shown until another one is chosen."""


def themes() -> Iterator[Theme]:
    """Yield the themes for Textual."""
    for name, palette in PALETTES.items():
        ansi = palette is _TERMINAL
        colour = {each: f"ansi_{value}" if ansi else value for each, value in palette.items()}
        yield Theme(
            name,
            primary=colour[V2],
            secondary=colour[V1],
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
            variables={**(BUILTIN_THEMES["ansi-dark"].variables if ansi else {}), **variables(name)},
        )


def variables(name: str) -> dict[str, str]:
    """Return the variables of a theme for style sheets."""
    prefix = "ansi_" if PALETTES[name] is _TERMINAL else ""
    return {each.removeprefix("$"): prefix + value for each, value in PALETTES[name].items()}


def styles(name: str) -> Styles:
    """Return the styles that texts may name: each colour, also bold and on a ground."""
    palette = PALETTES.get(name, PALETTES[DEFAULT])
    found: dict[str, Style] = {}
    for each, colour in palette.items():
        for weight in ("", "bold ", "not bold "):
            found[f"{weight}{each}"] = Style.parse(f"{weight}{colour}")
            for ground in palette:
                found[f"{weight}{each} on {ground}"] = Style.parse(f"{weight}{_on(colour, palette[ground])}")
    return Styles(found)


def _on(colour: str, ground: str) -> str:
    # What stands on an accent has the colour of the ground, which of a terminal's palette nobody knows.
    return f"reverse {ground}" if colour == "default" and ground != "default" else f"{colour} on {ground}"
