"""What a question measures by itself says what a full bench says, or that it is too close to call.

By recorded reports: the full bench in ``docs/bench``, what ``coffee decide`` would have measured of it, and what
it measured in runs of its own (``recorded/``: files of ``COFFEE_HOME/decide``, without distributions and flow).
"""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pytest

from backend.lab.bench.figures import Figures
from backend.lab.bench.result import Result
from backend.lab.decide.decision import Decision, decide
from backend.lab.decide.measure import Measurement
from backend.lab.decide.question import SERVERS, Loss, Question

_BENCH = Path(__file__).parents[5] / "docs" / "bench"
_RECORDED = Path(__file__).parent / "recorded"
_EVERYTHING = frozenset(SERVERS)
SITUATIONS = {
    "a shop": Question(200, 1_000, 50),
    "a report in time": Question(20, 200, 15_000),
    "Kafka is there, seconds may go": Question(200, 1_000, 1_000, Loss.SECONDS, runs=_EVERYTHING),
    "at the edge": Question(200, 1_000, 9),
    "sooner than any": Question(200, 1_000, 2),
}
OWN_RUNS = {
    # Two cores at a load of forty: what it could measure is far off, and it knows.
    "disturbed-20-200-default-v1-v2.json": (
        Question(20, 200, 15_000),
        Question(20, 200, 1_000),
        Question(20, 200, 1_000, vcpu_hour=0.4),
    ),
    "five-200-1000-strict.json": (Question(200, 1_000, 50), Question(200, 1_000, 15_000)),
    "five-200-1000-strict-again.json": (Question(200, 1_000, 50), Question(200, 1_000, 15_000)),
}


def _agrees(own: Decision, bench: Decision) -> bool:
    """Tell whether one says the same, or leaves open what the other says, or says what the other leaves open."""
    if own.close:
        said = {bench.pick} if bench.pick else set(bench.close)
        return said <= set(own.close)  # of none that is enough: one is open that the bench has as not enough
    if bench.close:
        return own.pick in bench.close
    return own.pick == bench.pick


def _asked_alone(bench: Result, question: Question, rounds: Iterable[int]) -> Result:
    """Return what a bench has of what a question measures, with these repetitions alone."""
    size = Measurement.of(question, bench.pipelines).size
    figures = Figures()
    for name, figure in bench.figures:
        pipeline, kind, *rest = name.split(".")
        values = figure.values
        if pipeline not in bench.pipelines or kind not in ("alone", "ladder", "breakpoint", "own", "cost"):
            continue
        if kind == "alone":
            values = [values[number] for number in rounds] if int(rest[0]) in size.rates else []
        elif kind == "ladder" and float(rest[0]) > size.ladder[-1]:
            values = []
        elif kind == "breakpoint":
            values = [min(value, size.ladder[-1]) for value in values]
        for value in values:
            figures.add(name, value, figure.unit, figure.better)
    return replace(bench, figures=figures, rates=size.rates)


@pytest.fixture(scope="module")
def bench() -> Result:
    return Result.read(_BENCH)


@pytest.mark.parametrize("question", SITUATIONS.values(), ids=SITUATIONS)
@pytest.mark.parametrize("rounds", [(0, 1, 2), (2, 3, 4), (4, 0, 2)], ids=str)
def test_a_question_alone_says_what_the_bench_says(
    bench: Result, question: Question, rounds: tuple[int, ...]
) -> None:
    own = decide(question, _asked_alone(bench, question, rounds))
    assert _agrees(own, decide(question, bench)), [sentence.text for sentence in own.sentences]


@pytest.mark.parametrize("question", SITUATIONS.values(), ids=SITUATIONS)
def test_two_runs_agree_or_leave_it_open(bench: Result, question: Question) -> None:
    one, other = (decide(question, _asked_alone(bench, question, rounds)) for rounds in ((0, 1, 2), (2, 3, 4)))
    assert _agrees(one, other) or _agrees(other, one)


@pytest.mark.parametrize(
    ("file", "question"), [(file, question) for file, questions in OWN_RUNS.items() for question in questions]
)
def test_a_run_of_its_own_says_what_the_bench_says(bench: Result, file: str, question: Question) -> None:
    own = Result.read(_RECORDED / file)
    both = replace(bench, pipelines=tuple(each for each in bench.pipelines if each in own.pipelines))
    found = decide(question, own)
    assert _agrees(found, decide(question, both)), [sentence.text for sentence in found.sentences]


@pytest.mark.parametrize("question", OWN_RUNS["five-200-1000-strict.json"])
def test_two_runs_of_its_own_agree_or_leave_it_open(question: Question) -> None:
    first, again = (
        decide(question, Result.read(_RECORDED / f"five-200-1000-strict{which}.json")) for which in ("", "-again")
    )
    assert _agrees(again, first) or _agrees(first, again)


def test_no_recorded_run_is_left_out() -> None:
    assert {path.name for path in _RECORDED.iterdir()} == set(OWN_RUNS)


def test_disagreement_is_told_from_agreement(bench: Result) -> None:
    shop, report = (decide(SITUATIONS[name], bench) for name in ("a shop", "a report in time"))
    edge, none = (decide(SITUATIONS[name], bench) for name in ("at the edge", "sooner than any"))
    # What an order costs at 20/s that report does not have: as much as at 1,000/s, up to fifty times that.
    assert (shop.pick, report.close, none.pick) == ("v2", ("v1", "v2"), None)
    assert _agrees(shop, report)
    assert not _agrees(none, shop)
    assert not _agrees(shop, none)
    assert _agrees(edge, shop)
    assert not _agrees(edge, report)
