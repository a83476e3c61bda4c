"""The load's settings: a form over the Live screen. What makes no load is refused in words, and the form stays."""

from collections.abc import Callable
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Button, Checkbox, Input, Label, RadioButton, RadioSet, Static

from coffee_core.load.schedule import Pattern
from coffee_core.menu import DRINKS, STORES
from coffee_core.pipelines import Pipeline
from coffee_tui.data.load_plan import LoadPlan, plan_of, texts_of
from coffee_tui.keymap import named


class Box(Checkbox):
    """Ticked, or a dot where a tick would be: distinguished by glyph, not by colour alone."""

    BUTTON_LEFT = BUTTON_RIGHT = " "

    @property
    def BUTTON_INNER(self) -> str:  # type: ignore[override]  # noqa: N802
        """The glyph."""
        return "✓" if self.value else "·"


class Radio(RadioButton):
    """A full or an open circle: distinguished by glyph, not by colour alone."""

    BUTTON_LEFT = BUTTON_RIGHT = " "

    @property
    def BUTTON_INNER(self) -> str:  # type: ignore[override]  # noqa: N802
        """The glyph."""
        return "●" if self.value else "○"


_ROWS: tuple[tuple[str, tuple[tuple[str, str, str], ...]], ...] = (
    ("rate", (("into each", "rate", "/s"),)),
    ("ramp", (("begins at", "from", "/s"), ("takes", "over", "s"))),
    ("bursts", (("one every", "every", "s"), ("{burst} sends", "burst", ""))),
    ("share of", (("repeats", "repeats", "%"), ("malformed", "malformed", "%"))),
    ("drinks", tuple((name, name, "") for name in DRINKS[:2])),
    ("", tuple((name, name, "") for name in DRINKS[2:])),
    ("stores", tuple((name, name, "") for name in STORES[:2])),
    ("", tuple((name, name, "") for name in STORES[2:])),
)
"""Label → (what stands before a field, the field, what stands after it)."""


class LoadScreen(ModalScreen[None]):
    """Fields, by keys and by mouse; Enter in any of them applies all."""

    CSS_PATH = "load.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "dismiss", "close"),
        Binding("ctrl+s", "apply", "apply"),
    ]

    def __init__(
        self, pipelines: tuple[Pipeline, ...], plan: LoadPlan, follow: Callable[[LoadPlan], None]
    ) -> None:
        super().__init__()
        self._pipelines = pipelines
        self._plan = plan
        self._follow = follow

    def compose(self) -> ComposeResult:
        """Lay out the form."""
        texts = texts_of(self._plan)
        with VerticalScroll(id="load", can_focus=False) as form:
            form.border_title = "Load"
            with Horizontal(classes="row"):
                yield Label("into", classes="label")
                for pipeline in self._pipelines:
                    yield Box(str(pipeline), pipeline in self._plan.pipelines, id=str(pipeline), compact=True)
            with Horizontal(classes="row"):
                yield Label("shape", classes="label")
                with RadioSet(id="pattern", compact=True):
                    for pattern in Pattern:
                        yield Radio(str(pattern), pattern is self._plan.pattern, name=str(pattern))
            for label, fields in _ROWS:
                with Horizontal(classes="row"):
                    yield Label(label, classes="label")
                    for before, name, after in fields:
                        yield Label(named(self, before), classes="before")
                        yield Input(texts[name], id=name, compact=True, select_on_focus=True)
                        yield Label(after, classes="after")
            yield Static(id="wrong")
            with Horizontal(id="buttons"):
                yield Button("Apply  enter", id="apply", variant="primary", compact=True)
                yield Button("Cancel  esc", id="cancel", compact=True)

    def on_mount(self) -> None:
        """Begin at the rate, which is what is changed most."""
        self.query_one("#rate", Input).focus()

    def on_input_submitted(self) -> None:
        """Enter in a field applies all of them."""
        self.action_apply()

    def on_button_pressed(self, event: Button.Pressed) -> None:
        """Do what the pressed button stands for."""
        if event.button.id == "apply":
            self.action_apply()
        else:
            self.dismiss()

    def action_apply(self) -> None:
        """Let the load follow the form, or show why it cannot."""
        texts = {field.id or "": field.value for field in self.query(Input)}
        pressed = self.query_one(RadioSet).pressed_button
        pattern = Pattern(pressed.name) if pressed is not None and pressed.name else self._plan.pattern
        chosen = tuple(name for name in self._pipelines if self.query_one(f"#{name}", Checkbox).value)
        try:
            self._follow(plan_of(texts, chosen, pattern))
        except ValueError as error:
            self.query_one("#wrong", Static).update(f"× {error}")
            return
        self.dismiss()
