"""A talk in steps: what each says, where to look, what it does to the lab, and where a recording shows it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from coffee_core.pipelines import Pipeline
from coffee_tui.data.recording import Frame
from coffee_tui.data.snapshot import OrdersView, Snapshot

Shown = Snapshot | OrdersView
LINE_CELLS = 96
"""Longest line of a caption: it is to be read at 100 cells."""


class Look(StrEnum):
    """What is highlighted."""

    CHAIN = "chain"
    TOTALS = "totals"
    RATES = "rates"
    AUDIT = "audit"
    STATUS = "status"
    BAND = "band"


class Deed(StrEnum):
    """What a step does to the lab."""

    NOTHING = "nothing"
    ORDER = "order"
    LOAD = "load"
    BURST = "burst"
    FAULT = "fault"
    REST = "rest"
    """Stop the load."""


@dataclass(frozen=True, slots=True)
class TourStep:
    """One step of the talk."""

    title: str
    """A few words."""
    lines: tuple[str, str]
    """Two lines, each at most ``LINE_CELLS`` cells; ``{compare}`` stands for the key of that action."""
    looks: tuple[Look, ...]
    """Where to look."""
    action: str
    """Name of the action that does the same by hand; empty where none does."""
    does: str = ""
    """What it does, in two or three words."""
    deed: Deed = Deed.NOTHING
    fault: str = ""
    """Name of the fault, of ``Deed.FAULT``."""
    pipelines: tuple[Pipeline, ...] = ()
    """Whose columns are looked at; empty: all."""
    shows: Callable[[Shown], bool] | None = None
    """Tells of what a recording holds whether this is the moment; None: of the step before it."""


def steps(pipelines: Sequence[Pipeline], faults: Sequence[str]) -> tuple[TourStep, ...]:
    """Return the talk about these pipelines; ``faults`` are the names of those that can be had here."""
    logged = [pipeline for pipeline in pipelines if pipeline.info.log is not None]
    worked = [each for each in logged if f"kill-{each.info.processor}" in faults]
    replayed = [each for each in logged if f"replay-{each}" in faults]
    talk = [
        TourStep(
            f"{len(pipelines)} ways to take an order",
            (
                "One order, three coffees, four stores: each column is a whole system that counts the same.",
                "Its first line is the way an order goes, from the POST to what you see. All of it is real.",
            ),
            (Look.CHAIN,),
            "",
            shows=lambda shown: isinstance(shown, Snapshot) and shown.pipelines[0].orders is not None,
        ),
        TourStep(
            "One order into each",
            (
                "The same order goes into every column now. Watch the large digits: who moves first?",
                "An answer says the order is safe. That it is shown is another moment, and the price of each way.",
            ),
            (Look.TOTALS,),
            "order-all",
            "one order into each",
            Deed.ORDER,
            shows=lambda shown: isinstance(shown, OrdersView) and bool(shown.keys),
        ),
        TourStep(
            "A load",
            (
                "Now customers come all the time. How late is the dashboard? The bar ends at the p99,",
                "on one scale from a millisecond to a minute. A cron is seconds late by design; a log is not.",
            ),
            (Look.BAND, Look.RATES),
            "load",
            "the load",
            Deed.LOAD,
            shows=lambda shown: isinstance(shown, OrdersView) and shown.running,
        ),
        TourStep(
            "A burst",
            (
                "A thousand orders at once. Where a log stands in front, they are taken and wait in it:",
                "the link before the worker fills, then drains. Without a log the customers wait instead.",
            ),
            (Look.CHAIN, Look.STATUS),
            "burst",
            "a burst",
            Deed.BURST,
            shows=lambda shown: isinstance(shown, OrdersView) and bool(shown.burst),
        ),
    ]
    if worked:
        broken = worked[0]
        talk.append(
            TourStep(
                f"A killed worker: {broken}",
                (
                    f"SIGKILL for the {broken.info.processor}, in the middle of a batch. What it had comes again.",
                    "Orders are still taken, and wait. When it is back: not one is lost, not one counted twice.",
                ),
                (Look.CHAIN, Look.STATUS, Look.AUDIT),
                "faults",
                "the faults",
                Deed.FAULT,
                f"kill-{broken.info.processor}",
                (broken,),
                lambda shown: isinstance(shown, Snapshot) and shown.fault == f"kill-{broken.info.processor}",
            )
        )
    if "flush-metrics" in faults:
        talk.append(
            TourStep(
                "A flushed key",
                (
                    "Somebody deletes what the dashboard reads, all of it. The digits fall to nothing.",
                    "Nobody is called: each way finds it out by itself, and counts from what is stored.",
                ),
                (Look.TOTALS, Look.AUDIT),
                "faults",
                "the faults",
                Deed.FAULT,
                "flush-metrics",
                shows=lambda shown: isinstance(shown, Snapshot) and _is_flushed(shown),
            )
        )
    if replayed:
        # Of several the last one: where there is a topic, all of it is counted anew.
        again = replayed[-1]
        talk.append(
            TourStep(
                f"A replay: {again}",
                (
                    "A log can be read again: what was taken once is worked through once more.",
                    "It ends on the same numbers, to the cent, or it would be no proof.",
                ),
                (Look.TOTALS, Look.STATUS),
                "faults",
                "the faults",
                Deed.FAULT,
                f"replay-{again}",
                (again,),
                lambda shown: isinstance(shown, Snapshot) and shown.fault == f"replay-{again}",
            )
        )
    talk.append(
        TourStep(
            "The verdict",
            (
                "Every order that was answered is a row, and every row is counted: lost 0, duplicated 0, drift 0.",
                "They differ in when, and at what cost. {compare} compares them, `coffee bench` measures them.",
            ),
            (Look.AUDIT,),
            "compare",
            "compare",
            Deed.REST,
            shows=lambda shown: isinstance(shown, OrdersView) and not shown.running and bool(shown.burst),
        )
    )
    return tuple(talk)


def _is_flushed(shown: Snapshot) -> bool:
    """Tell whether the metrics have just been deleted; by a pipeline that has no log, so that it is no replay."""
    return shown.fault == "flush-metrics" or any(
        view.pipeline.info.log is None and view.orders == 0 and view.counts is not None and view.counts.stored > 0
        for view in shown.pipelines
    )


def moments(talk: Sequence[TourStep], frames: Sequence[Frame]) -> list[float | None]:
    """Return when a recording shows each step, in seconds since its beginning; None: it does not."""
    found: list[float | None] = []
    at_s = 0.0
    for step in talk:
        shows = step.shows or (lambda _: False)
        # Never before the step that comes first: the talk goes on as the recording does.
        moment = next((frame.at_s for frame in frames if frame.at_s >= at_s and shows(frame.value)), None)
        found.append(moment)
        at_s = at_s if moment is None else moment
    return found
