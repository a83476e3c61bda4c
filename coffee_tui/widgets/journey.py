"""One order's journey: accepted, stored, shown, each with its time where somebody knows it."""

from datetime import datetime

from rich.text import Text

from coffee_tui.feed.journal import SentOrder
from coffee_tui.feed.journey import Journey
from coffee_tui.theme import ACCENT, DIM, GREY, TEXT
from coffee_tui.widgets.text import latency

ROWS = 4
"""The order, and a row for each step."""
_STEP, _TIME = 12, 15


def journey_rows(order: SentOrder, journey: Journey) -> Text:
    """Return the order and its three steps, or why nothing is known of them."""
    text = Text().append(f"{order.pipeline}  ", f"bold {ACCENT[order.pipeline]}")
    text.append(order.what, f"bold {TEXT}").append(f"   {order.message_id or ''}", GREY)
    if journey.trouble:
        return text.append(f"\n· {journey.trouble}", GREY)
    accepted_us, stored_us = journey.accepted_us, journey.stored_us
    if accepted_us is not None:
        _step(text, "accepted", accepted_us, "the API's clock")
    else:
        _step(text, "accepted by", order.answered_us, "when it was answered; its own time comes with its row")
    if stored_us is not None and accepted_us is not None:
        later = latency(max(0, stored_us - accepted_us))
        _step(text, "stored", stored_us, f"+{later}, PostgreSQL's clock")
    else:
        _without_time(text, "stored", journey.stored)
    if journey.shown_by_us is not None:
        _step(text, "shown by", journey.shown_by_us, "as this page saw it, which looks once a second")
    else:
        _without_time(text, "shown", journey.shown)
    return text


def clock(time_us: int, *, exact: bool = True) -> str:
    """Write a time of day, to the millisecond where ``exact``."""
    moment = datetime.fromtimestamp(time_us / 1e6).astimezone()
    return moment.strftime("%H:%M:%S.%f")[:-3] if exact else moment.strftime("%H:%M:%S")


def _step(text: Text, step: str, at_us: int, whose: str) -> None:
    text.append("\n✓ ", TEXT).append(step.ljust(_STEP), GREY).append(clock(at_us).ljust(_TIME), TEXT)
    text.append(whose, DIM)


def _without_time(text: Text, step: str, known: bool | None) -> None:
    glyph, said = {True: ("✓", "yes; when is not known"), False: ("…", "not yet"), None: ("·", "not known")}[known]
    text.append(f"\n{glyph} ", TEXT).append(step.ljust(_STEP), GREY).append(said, TEXT)
