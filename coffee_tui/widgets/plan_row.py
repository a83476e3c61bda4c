"""The chosen load in one row: its rate on a scale, its shares, its mix; what has no room is in the form."""

import math

from rich.text import Text

from coffee_tui.feed.load_plan import RATES, LoadPlan, Weights
from coffee_tui.theme import DIM, GREY, TEXT

_LOW, _HIGH = RATES[0], RATES[-1]
_MOST_CELLS = 40
_GAP = "   "


def plan_row(plan: LoadPlan, width: int) -> Text:
    """Return one row of at most ``width`` cells."""
    pieces = [
        _piece(("repeats", _share(plan.repeats)), ("malformed", _share(plan.malformed))),
        _piece(("drinks", _mix(plan.drinks))),
        _piece(("stores", _mix(plan.stores))),
    ]
    row = _scale(plan.rate_per_s, min(_MOST_CELLS, max(10, width // 5)))
    for piece in pieces:
        if row.cell_len + len(_GAP) + piece.cell_len > width:
            break
        row.append(_GAP).append(piece)
    return row


def _scale(rate_per_s: float, cells: int) -> Text:
    share = math.log(max(_LOW, rate_per_s) / _LOW) / math.log(_HIGH / _LOW)
    at = round(min(1.0, share) * (cells - 1))
    row = Text(f"rate {_LOW:g} ", GREY).append("─" * at, DIM).append("●", f"bold {TEXT}")
    return row.append("─" * (cells - 1 - at), DIM).append(f" {_HIGH:,.0f}/s", GREY)


def _piece(*figures: tuple[str, str]) -> Text:
    return Text("  ").join(Text(f"{label} ", GREY).append(text, TEXT) for label, text in figures)


def _share(share: float) -> str:
    return f"{share * 100:.3g} %"


def _mix(weights: Weights) -> str:
    total = sum(weight for _, weight in weights)
    return " · ".join(f"{name} {weight / total * 100:.0f}" for name, weight in weights)
