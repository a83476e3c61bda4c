"""An app whose colours are those of a palette, in style sheets and in texts alike."""

from typing import Any

from textual.app import App

from coffee_tui.palettes import DEFAULT, PALETTES, styles, themes, variables


class Themed(App[None]):
    """Has the themes of ``palettes``; any other that is chosen keeps the texts of the default one."""

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
        """Let texts have the colours of the theme; Textual draws everything again after this."""
        self.console.pop_theme()
        self.console.push_theme(styles(theme, plain=self.no_color))

    def action_next_theme(self) -> None:
        """Change to the next of our themes."""
        names = list(PALETTES)
        at = names.index(self.theme) if self.theme in names else -1
        self.theme = names[(at + 1) % len(names)]
