"""What the dashboard remembers between two runs: one small file in the user's own configuration folder."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from coffee_core.runstate import write_private
from coffee_tui.data.load_plan import LoadPlan
from coffee_tui.data.plain import from_plain, to_plain
from coffee_tui.data.snapshot import OrdersView


@dataclass(frozen=True, slots=True)
class Preferences:
    """What was chosen last: the load and the theme."""

    plan: LoadPlan = LoadPlan()
    """The load."""
    theme: str = ""
    """Theme; empty: the default one."""
    first_run: bool = True
    """Whether nobody has used the dashboard here before."""

    def applied_to(self, view: OrdersView) -> OrdersView:
        """Return a view with what was chosen, as far as its pipelines are run here."""
        here = view.plan.pipelines
        chosen = tuple(pipeline for pipeline in here if pipeline in self.plan.pipelines)
        return replace(view, plan=replace(self.plan, pipelines=chosen or here))

    @classmethod
    def of(cls, view: OrdersView, theme: str = "") -> "Preferences":
        """Return what is to be remembered of a view and of the theme."""
        return cls(view.plan, theme, first_run=False)


def preferences_path(environ: Mapping[str, str] | None = None) -> Path:
    """Return the file that the dashboard writes."""
    return _folder(environ) / "dashboard.json"


def keys_path(environ: Mapping[str, str] | None = None) -> Path:
    """Return the file of keys, which is the user's own: the dashboard never writes it."""
    return _folder(environ) / "keys.toml"


def _folder(environ: Mapping[str, str] | None) -> Path:
    """Return the folder of this dashboard under XDG_CONFIG_HOME, else under ~/.config."""
    environ = os.environ if environ is None else environ
    given = environ.get("XDG_CONFIG_HOME", "")
    # The specification: a relative path there is to be ignored.
    try:
        folder = Path(given) if given.startswith("/") else Path.home() / ".config"
    except RuntimeError:  # an account without a name, as in a container: its home is /
        folder = Path("/.config")
    return folder / "coffee-rt"


def save_preferences(path: Path, preferences: Preferences) -> None:
    """Write the file. Raises OSError where that cannot be done."""
    kept = {"load": to_plain(preferences.plan), "theme": preferences.theme}
    write_private(path, json.dumps(kept) + "\n")


def load_preferences(path: Path) -> Preferences:
    """Read the file; one that is absent or cannot be understood gives the defaults. Raises OSError."""
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
        plan = from_plain(LoadPlan, raw["load"])
        plan.check()
        theme = str(raw.get("theme", ""))
    except FileNotFoundError:
        return Preferences()
    except (AttributeError, KeyError, TypeError, ValueError):
        # Of an older or a newer version, or edited: its content is lost, which is what defaults are for.
        return Preferences(first_run=False)
    return Preferences(plan, theme, first_run=False)
