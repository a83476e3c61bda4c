"""The second judge: reads a folder of evidence (docs/evidence.md) and says what is wrong in it.

It shares no code with what ran the fault and compared the first time: the standard library is all that it has, and
import-linter keeps it so. Beside what became of each order it looks at what a watcher could have seen meanwhile.
"""

import gzip
import json
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

_SCHEMA = 1
_MOST_NAMED = 5
_STEP_WITHIN_US = 1_000_000
"""Between two that are further apart a restart may have counted other orders: the step proves nothing then."""
_BREAKDOWNS = (("drink", "drink_counts", "drink_revenue_cents"), ("store", "store_counts", "store_revenue_cents"))

LOST = "lost"
DUPLICATED = "duplicated"
UNEXPLAINED = "stored although never sent so, or refused"
DRIFT = "drift"
WENT_BACK = "a total that went back"
NOT_WHOLE = "a total that is no sum of whole orders"
DISAGREE = "drinks that do not add up to stores"
TOO_EARLY = "an order shown before it was sent"
KINDS = (LOST, DUPLICATED, UNEXPLAINED, DRIFT, WENT_BACK, NOT_WHOLE, DISAGREE, TOO_EARLY)
"""Everything that can be found."""


class NoEvidenceError(Exception):
    """The folder holds no evidence that could be judged."""


@dataclass(slots=True)
class Finding:
    """One kind of thing that is wrong in one pipeline."""

    pipeline: str
    kind: str
    """One of ``KINDS``."""
    count: int = 0
    """Orders of what is stored, observations of what was seen, of ``drift`` the numbers that are off."""
    examples: list[str] = field(default_factory=list)
    """The first few, in words."""

    def __str__(self) -> str:
        more = " …" * (self.count > len(self.examples))
        return f"{self.kind}: {self.count:,}: {'; '.join(self.examples)}{more}"


@dataclass(slots=True)
class Judged:
    """What one pipeline did in the run, and what is wrong with it."""

    pipeline: str
    attempted: int = 0
    """Distinct well-formed orders that were sent."""
    accepted: int = 0
    """Of these, acknowledged at least once."""
    stored: int = 0
    """Rows of the run."""
    observations: int = 0
    """Totals that were seen, each different from the one before."""
    findings: list[Finding] = field(default_factory=list)

    def add(self, kind: str, example: str) -> None:
        """Note one more thing of a kind that is wrong."""
        found = next((each for each in self.findings if each.kind == kind), None)
        if found is None:
            found = Finding(self.pipeline, kind)
            self.findings.append(found)
        found.count += 1
        if len(found.examples) < _MOST_NAMED:
            found.examples.append(example)


@dataclass(slots=True)
class _Order:
    """One order that a client meant to place: all requests with its time of order."""

    first: Mapping[str, Any]
    sent_us: int
    acknowledged: bool = False
    unknown: bool = False
    ids: set[str] = field(default_factory=set)

    @property
    def is_well_formed(self) -> bool:
        return bool(self.first["kind"] != "malformed")

    @property
    def name(self) -> str:
        return str(self.first["key"] or f"ordered at {self.first['ordered_at_us']} µs")

    def explains(self, row: Mapping[str, Any]) -> bool:
        """Tell whether a row can be what was sent: an answer without an id leaves the id open."""
        if not (self.is_well_formed and (self.acknowledged or self.unknown)):
            return False
        if any(row[name] != self.first[name] for name in ("drink", "store", "price_cents")):
            return False
        if self.first["key"] is not None:
            return bool(row["message_id"] == self.first["key"])
        return self.unknown or row["message_id"] in self.ids


def recheck(folder: Path) -> list[Judged]:
    """Judge the evidence in a folder. Raises NoEvidenceError where there is none, or of a run without an end."""
    about = _json(folder / "about.json")
    if about.get("schema") != _SCHEMA:
        raise NoEvidenceError(f"{folder} has schema {about.get('schema')}, not {_SCHEMA}")
    if not (folder / "verdict.json").exists():
        raise NoEvidenceError(f"{folder} is of a run that did not come to its end")
    for name in ("history", "shown"):
        if not (folder / f"{name}.jsonl.gz").exists():
            raise NoEvidenceError(f"{folder} has no {name}.jsonl.gz: what was sent, or seen, is not known")
    history, rows, shown, settled = (
        _by_pipeline(folder, name, about["pipelines"]) for name in ("history", "rows", "shown", "settled")
    )
    resets = [
        (line["at_us"], pipeline)
        for line in _lines(folder / "faults.jsonl.gz")
        if line["moment"] in ("begun", "struck")
        for pipeline in line["resets"]
    ]
    judged = []
    for name in about["pipelines"]:
        before = about["shown_before"][name]
        judge = Judged(name)
        orders = _orders(history[name])
        _judge_rows(judge, orders, rows[name])
        if not settled[name]:
            raise NoEvidenceError(f"{folder} does not say what {name} showed in the end")
        _judge_end(judge, before, settled[name][-1], rows[name])
        reset_us = min((at_us for at_us, pipeline in resets if pipeline == name), default=None)
        _Watched(judge, orders, before, reset_us).judge(shown[name])
        judge.findings.sort(key=lambda found: KINDS.index(found.kind))
        judged.append(judge)
    return judged


def _orders(history: Sequence[Mapping[str, Any]]) -> dict[int, _Order]:
    orders: dict[int, _Order] = {}
    for request in history:
        order = orders.setdefault(request["ordered_at_us"], _Order(request, request["sent_us"]))
        order.sent_us = min(order.sent_us, request["sent_us"])
        order.unknown |= request["outcome"] == "unknown"
        if request["outcome"] == "acknowledged":
            order.acknowledged = True
            order.ids.add(request["message_id"])
    return orders


def _judge_rows(judge: Judged, orders: Mapping[int, _Order], rows: Sequence[Mapping[str, Any]]) -> None:
    """Hold what is stored against what was sent: acknowledged, stored, sent, each within the next, and once."""
    stored: dict[int, int] = defaultdict(int)
    for row in rows:
        at = row["ordered_at_us"]
        stored[at] += 1
        if stored[at] > 1:
            judge.add(DUPLICATED, f"{row['message_id']}, ordered at {at} µs")
        if at not in orders or not orders[at].explains(row):
            judge.add(UNEXPLAINED, str(row["message_id"]))
    judge.stored = len(rows)
    for at, order in orders.items():
        if order.is_well_formed:
            judge.attempted += 1
            judge.accepted += order.acknowledged
            if order.acknowledged and at not in stored:
                judge.add(LOST, order.name)
        elif order.acknowledged:
            judge.add(UNEXPLAINED, f"{order.name}, malformed and acknowledged")


def _judge_end(
    judge: Judged,
    before: Mapping[str, Any],
    settled: Mapping[str, Any],
    rows: Sequence[Mapping[str, Any]],
) -> None:
    """Hold what the run has added to the six keys against its rows, number by number."""
    sums: dict[tuple[str, str], int] = defaultdict(int)
    for row in rows:
        cents = row["price_cents"]
        for name, amount in (("orders", 1), ("revenue_cents", cents)):
            sums[name, ""] += amount
        for what, counts, revenue in _BREAKDOWNS:
            sums[counts, row[what]] += 1
            sums[revenue, row[what]] += cents
    added = {key: value - _numbers(before).get(key, 0) for key, value in _numbers(settled).items()}
    for key in sorted(sums.keys() | added.keys()):
        if off := added.get(key, 0) - sums.get(key, 0):
            judge.add(DRIFT, f"{' '.join(filter(None, key))} {off:+}")


class _Watched:
    """What a watcher saw of one pipeline, observation by observation."""

    def __init__(
        self, judge: Judged, orders: Mapping[int, _Order], before: Mapping[str, Any], reset_us: int | None
    ) -> None:
        self._judge = judge
        self._before = before
        self._reset_us = reset_us
        """When a fault first took the totals back on purpose; None where none did."""
        self._sent: dict[tuple[str, str], list[int]] = defaultdict(list)
        self._prices: dict[tuple[str, str], list[int]] = defaultdict(list)
        for order in orders.values():
            if order.is_well_formed:
                for what in ("drink", "store"):
                    self._sent[what, order.first[what]].append(order.sent_us)
                    self._prices[what, order.first[what]].append(order.first["price_cents"])
        for times in self._sent.values():
            times.sort()

    def judge(self, shown: Sequence[Mapping[str, Any]]) -> None:
        """Look at every observation, in order, and at the step to it from the one before."""
        self._judge.observations = len(shown)
        last = None
        for seen in shown:
            at = f"at {seen['read_us'] / 1e6:.3f} s"
            is_reset = self._reset_us is not None and seen["read_us"] >= self._reset_us
            self._not_before_it_was_sent(seen, at)
            if not self._adds_up(seen, at):
                continue  # a total that is torn says nothing about orders
            if not is_reset:
                self._whole_orders(self._before, seen, f"{at}, since the run began")
            if last is not None:
                if seen["orders"] < last["orders"] and not is_reset:
                    self._judge.add(WENT_BACK, f"{at}: from {last['orders']:,} to {seen['orders']:,}")
                if seen["read_us"] - last["read_us"] <= _STEP_WITHIN_US and not is_reset:
                    self._whole_orders(last, seen, f"{at}, since {last['read_us'] / 1e6:.3f} s")
            last = seen

    def _adds_up(self, seen: Mapping[str, Any], at: str) -> bool:
        for total, of in (("orders", 1), ("revenue_cents", 2)):
            by_drink, by_store = (sum(seen[names[of]].values()) for names in _BREAKDOWNS)
            if {by_drink, by_store} != {seen[total]}:
                sums = f"{total} {seen[total]:,}, by drink {by_drink:,}, by store {by_store:,}"
                self._judge.add(DISAGREE, f"{at}: {sums}")
                return False
        return True

    def _not_before_it_was_sent(self, seen: Mapping[str, Any], at: str) -> None:
        for what, counts, _ in _BREAKDOWNS:
            for name, count in seen[counts].items():
                more = count - self._before[counts].get(name, 0)
                sent = bisect_right(self._sent.get((what, name), []), seen["read_us"])
                if more > sent:
                    self._judge.add(TOO_EARLY, f"{at}: {more:,} of {name} shown, {sent:,} sent")

    def _whole_orders(self, one: Mapping[str, Any], other: Mapping[str, Any], when: str) -> None:
        """Tell whether a step can be a sum of orders that were sent, of each drink and of each store."""
        for what, counts, revenue in _BREAKDOWNS:
            for name in other[counts].keys() | other[revenue].keys():
                more = other[counts].get(name, 0) - one[counts].get(name, 0)
                cents = other[revenue].get(name, 0) - one[revenue].get(name, 0)
                prices = self._prices.get((what, name), [0])
                if more >= 0 and not more * min(prices) <= cents <= more * max(prices):
                    self._judge.add(NOT_WHOLE, f"{when}: {more:+} of {name} for {cents:+} cents")


def _numbers(totals: Mapping[str, Any]) -> dict[tuple[str, str], int]:
    """Return every number of some totals, by its name and, in a breakdown, what it is of."""
    numbers = {(name, ""): totals[name] for name in ("orders", "revenue_cents")}
    for _, *names in _BREAKDOWNS:
        numbers |= {(name, of): value for name in names for of, value in totals[name].items()}
    return numbers


# Reading.


def _json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise NoEvidenceError(f"{path} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise NoEvidenceError(f"{path} is no JSON: {error}") from error
    if not isinstance(content, dict):
        raise NoEvidenceError(f"{path} is no JSON object")
    return content


def _by_pipeline(folder: Path, name: str, pipelines: Sequence[str]) -> dict[str, list[dict[str, Any]]]:
    """Return the lines of a file by their pipeline; a pipeline without any has none."""
    found: dict[str, list[dict[str, Any]]] = {pipeline: [] for pipeline in pipelines}
    for line in _lines(folder / f"{name}.jsonl.gz"):
        found[line["pipeline"]].append(line)
    return found


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    if not path.exists():
        return
    try:
        with gzip.open(path, "rt", encoding="utf-8") as file:
            for line in file:
                yield json.loads(line)
    except (OSError, EOFError, ValueError) as error:
        raise NoEvidenceError(f"{path} cannot be read: {error}") from error
