"""``coffee bench --peers``: the pipelines and what engineers write instead, on the same servers in one run."""

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from backend.lab.bench.bench import Announce, Step, run, started, until_signalled, warming_up
from backend.lab.bench.bench_stack import BenchStack
from backend.lab.bench.figures import Better, Figure, Figures
from backend.lab.bench.harness import Harness, live
from backend.lab.bench.report import show
from backend.lab.bench.size import Size
from backend.lab.bench.steps_drain import can_drain, drain, runs_on_flink
from backend.lab.bench.steps_idle import wait_for_rest
from backend.lab.bench.steps_load import MANY, closed, independent
from backend.lab.bench.steps_peers import (
    Peer,
    RunningPeer,
    drain_peer,
    kill_draining,
    kill_peer,
    peer_of,
    running,
    warm_peer,
)
from coffee_core.pipelines import Pipeline
from coffee_core.pipelines.constants import V2, V3

_RATES = (20, 500)
"""Orders a second at which is measured when they are shown."""
_HEADINGS = ("", "", "ours", "theirs", "ours ÷ theirs", "lowest to highest", "bar", "")
_WORDS = {
    f"closed.{MANY}.rate": f"{MANY} clients",
    **{
        f"alone.{rate}.dashboard.{quantile}": f"shown {quantile}, {rate}/s"
        for rate in _RATES
        for quantile in ("p50", "p99")
    },
    "drain.rate": "drain",
    "kill.twice": "killed: counted twice",
    "kill.lost": "killed: lost",
    "kill.still": "killed: stood still",
}
"""What is compared, in the order of the table → its words there."""
_COUNTS = ("kill.twice", "kill.lost")
"""What has no ratio: ours is to be 0."""


@dataclass(frozen=True, slots=True)
class Bar:
    """What a ratio of ours to theirs is to be."""

    better: Better
    bound: float

    def is_met(self, ratio: float) -> bool:
        """Tell whether a ratio is at most, or at least, as much."""
        return ratio <= self.bound if self.better is Better.LOWER else ratio >= self.bound

    def __str__(self) -> str:
        return f"{'≤' if self.better is Better.LOWER else '≥'} {self.bound:.2f} ×"


BARS = {
    (V2, "alone.500.dashboard.p50"): Bar(Better.LOWER, 0.8),
    (V3, "alone.20.dashboard.p50"): Bar(Better.LOWER, 1.0),
    (V3, "drain.rate"): Bar(Better.HIGHER, 1.2),
}
"""Pipeline and figure → its bar."""


async def bench_peers(
    size: Size, parent: Path, pipelines: Sequence[Pipeline], python: Path, announce: Announce
) -> tuple[Figures, bool]:
    """Measure pipelines that have a peer, and the peers, ``size.peer_rounds`` times on one stack in ``parent``.

    ``python`` is that of the peers. Also returns whether all of it was measured.

    Figures are named ``v2.drain.rate``, ``peer-stream.drain.rate`` and, round by round, ``v2.ratio.drain.rate``.
    SIGINT, SIGTERM and SIGHUP end it with what is done. Raises StackError where the stack does not come up.
    """
    size = replace(size, preload=size.peer_backlog, down_s=0.0)
    figures = Figures()

    async def measure(stopped: "asyncio.Task[bool]") -> tuple[Figures, bool]:
        async with (
            started(size, BenchStack(parent, pipelines), announce, stopped) as harness,
            AsyncExitStack() as beside,
        ):
            peers = {
                peer: await beside.enter_async_context(running(peer, pipeline, python, harness))
                for peer, pipeline in stand_ins(pipelines).items()
            }
            complete = await run(list(_steps(harness, peers, figures)), harness, announce, stopped)
            await _note_round(harness, peers, figures)  # the one that was interrupted
            for note in harness.notes:
                announce(note)
        return figures, complete

    return await until_signalled(measure)


def stand_ins(pipelines: Iterable[Pipeline]) -> dict[Peer, Pipeline]:
    """Return each peer of some pipelines with the first of these, as which it is measured."""
    found: dict[Peer, Pipeline] = {}
    for pipeline in pipelines:
        if (peer := peer_of(pipeline)) is not None:
            found.setdefault(peer, pipeline)
    return found


@dataclass(frozen=True, slots=True)
class _Pair:
    """The same work on a pipeline and, where it is measured as this one, on its peer."""

    words: str
    about_s: float
    ours: Callable[[], Coroutine[Any, Any, None]]
    theirs: Callable[[], Coroutine[Any, Any, None]] | None
    more_s: float = 0.0
    """Seconds that ours is likely to take in addition."""


def _steps(harness: Harness, peers: dict[Peer, RunningPeer], figures: Figures) -> Iterator[Step]:
    pipelines, size = harness.pipelines, harness.size
    yield warming_up(harness)
    for peer, peer_run in peers.items():
        yield Step(f"{peer.name}: warming up", 6, partial(_keep_books, peer_run, partial(warm_peer, peer_run)))
    yield Step("the stack comes to rest", 20, partial(wait_for_rest, harness))
    for number in range(1, size.peer_rounds + 1):
        # Each round begins with another pipeline, and with the other side of each pair.
        first = number % len(pipelines)
        for pipeline in (*pipelines[first:], *pipelines[:first]):
            here = peer_of(pipeline)
            assert here is not None, "only pipelines with a peer are measured"
            measured_as = peers[here] if peers[here].pipeline == pipeline else None
            for pair in _pairs(harness, pipeline, measured_as):
                label = f"round {number} of {size.peer_rounds}"
                sides = [Step(f"{label}: {pipeline}, {pair.words}", pair.about_s + pair.more_s, pair.ours)]
                if pair.theirs is not None:
                    sides.append(Step(f"{label}: {here.name}, {pair.words}", pair.about_s, pair.theirs))
                yield from sides if number % 2 else reversed(sides)
        yield Step(f"round {number} of {size.peer_rounds}: done", 0, partial(_note_round, harness, peers, figures))


def _pairs(harness: Harness, pipeline: Pipeline, peer: RunningPeer | None) -> Iterator[_Pair]:
    size, settings = harness.size, harness.settings

    def both(
        words: str,
        about_s: float,
        ours: Callable[[], Coroutine[Any, Any, None]],
        theirs: Callable[[RunningPeer], Coroutine[Any, Any, None]],
        more_s: float = 0.0,
    ) -> _Pair:
        of_peer = None if peer is None else partial(_keep_books, peer, partial(theirs, peer))
        return _Pair(words, about_s, ours, of_peer, more_s)

    url = f"{settings.api_url}/api/{pipeline}/order"
    yield both(
        "closed loops",
        2 * size.closed_s + 1.5,
        partial(closed, harness, pipeline, url),
        lambda of: closed(of.harness, of.pipeline, of.url),
    )
    if not (live([pipeline]) and can_drain(pipeline)):
        return
    for rate in _RATES:
        yield both(
            f"{rate}/s",
            size.load_s_at(rate) + 0.5,
            partial(_load, harness, pipeline, rate),
            partial(_load_peer, rate=rate),
        )
    drain_s, flink_s = size.preload / 8_000 + 2, 25.0 if runs_on_flink(pipeline) else 0.0
    yield both("draining", drain_s, partial(_then_rest, harness, pipeline, drain), drain_peer, flink_s)
    killed = partial(_then_rest, harness, pipeline, kill_draining)
    yield both("killed while draining", drain_s + 15, killed, kill_peer, flink_s)


async def _then_rest(
    harness: Harness, pipeline: Pipeline, work: Callable[[Harness, Pipeline], Coroutine[Any, Any, None]]
) -> None:
    """Do some work that starts a job of Flink again; what it prepares afterwards must not meet the other side."""
    await work(harness, pipeline)
    if runs_on_flink(pipeline):
        await wait_for_rest(harness, "the step after a drain")


async def _load(harness: Harness, pipeline: Pipeline, rate: int) -> None:
    for_s = harness.size.load_s_at(rate)
    harness.pending += await harness.load(f"alone.{rate}", [pipeline], independent(rate), for_s)


async def _load_peer(peer: RunningPeer, *, rate: int) -> None:
    await _load(peer.harness, peer.pipeline, rate)


async def _keep_books(peer: RunningPeer, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Do some work on a peer; after a failure what it shows is taken for its books."""
    try:
        await work()
    except Exception:
        await peer.harness.resync()
        raise


async def _note_round(harness: Harness, peers: dict[Peer, RunningPeer], figures: Figures) -> None:
    """Add what a round has measured to the figures of all rounds."""
    theirs = {}
    for peer, of in peers.items():
        of.harness.write_up()
        theirs[peer] = (of.pipeline, of.harness.figures)
        harness.notes += [f"{peer.name}{note.removeprefix(of.pipeline)}" for note in of.harness.notes]
        of.harness.figures, of.harness.notes = Figures(), []
    harness.write_up()
    add_round(figures, harness.figures, theirs, harness.pipelines)
    harness.figures = Figures()


def add_round(
    figures: Figures,
    ours: Figures,
    theirs: Mapping[Peer, tuple[Pipeline, Figures]],
    pipelines: Iterable[Pipeline],
) -> None:
    """Add the figures of a round, and the ratios of what it has measured of both: they met the machine as it was.

    Those of a peer are named by the pipeline as which it was measured, and become named by the peer.
    """
    _add(figures, ours)
    for peer, (pipeline, found) in theirs.items():
        _add(figures, found, {str(pipeline): peer.name})
    for pipeline in pipelines:
        if (peer_here := peer_of(pipeline)) is None or peer_here not in theirs:
            continue
        measured_as, found = theirs[peer_here]
        for what in _WORDS:
            one, other = ours.get(f"{pipeline}.{what}"), found.get(f"{measured_as}.{what}")
            if one is not None and other is not None and other.middle and what not in _COUNTS:
                figures.add(f"{pipeline}.ratio.{what}", one.middle / other.middle, "×", one.better)


def _add(figures: Figures, found: Figures, names: Mapping[str, str] = {}) -> None:
    for name, figure in found:
        of, _, what = name.partition(".")
        for value in figure.values:
            figures.add(f"{names.get(of, of)}.{what}", value, figure.unit, figure.better)


def as_lines(figures: Figures, pipelines: Sequence[Pipeline]) -> list[str]:
    """Return a table, of each side the middle of all rounds, of the ratios also the ends; and who is who."""
    rows = [_HEADINGS, *(row for pipeline in pipelines for row in _rows(figures, pipeline))]
    widths = [max(len(row[i]) for row in rows) for i in range(len(_HEADINGS))]
    lines = [
        "  ".join(
            text.ljust(width) if i in (0, 1, 7) else text.rjust(width)
            for i, (text, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
    who = [(", ".join(each for each in pipelines if peer_of(each) is peer), peer) for peer in stand_ins(pipelines)]
    return [*lines, "", *(f"{names}: theirs is {peer.name}, {peer.what}." for names, peer in who)]


def _rows(figures: Figures, pipeline: Pipeline) -> Iterator[tuple[str, ...]]:
    peer = peer_of(pipeline)
    assert peer is not None, "only pipelines with a peer are measured"
    for what, words in _WORDS.items():
        sides = [figures.get(f"{of}.{what}") for of in (pipeline, peer.name)]
        if any(sides):
            compared = _compared(figures.get(f"{pipeline}.ratio.{what}"), BARS.get((pipeline, what)))
            yield (pipeline, words, *map(_shown, sides), *compared)


def _shown(figure: Figure | None) -> str:
    if figure is None:
        return "–"
    # Of counts each round says something: the middle of 0, 0 and 9 would hide the 9.
    return ", ".join(f"{value:,.0f}" for value in figure.values) if figure.unit == "orders" else show(figure)


def _compared(ratio: Figure | None, bar: Bar | None) -> tuple[str, str, str, str]:
    of_all = "–" if ratio is None else f"{ratio.middle:.2f} ×"
    ends = "" if ratio is None else f"{ratio.low:.2f} to {ratio.high:.2f} ×"
    if bar is None:
        return (of_all, ends, "", "")
    verdict = "not measured" if ratio is None else "met" if bar.is_met(ratio.middle) else "not met"
    return (of_all, ends, str(bar), verdict)
