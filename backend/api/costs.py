"""What the parts of an embedded stack cost: processor time and memory of each part's processes."""

import time
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from coffee_core.runstate import PartState

INTERVAL_S = 3.0
"""Least seconds between two readings, each of which visits every process of the machine."""


@dataclass(frozen=True, slots=True)
class Cost:
    """One part: its process and all below it."""

    cores: float | None
    """Processor time per second, since the reading before; None at first."""
    memory_bytes: int
    """Resident memory, shared pages counted once."""


class Costs:
    """Reads what the published process ids cost; a part without one (given by a URL) is not there."""

    def __init__(self) -> None:
        self._seconds: dict[tuple[int, float], float] = {}
        self._at_s = 0.0
        self._newest: dict[str, Cost] = {}

    def read(self, states: Iterable[PartState], others: Mapping[str, Iterable[int]] = {}) -> dict[str, Cost]:
        """Return the cost of each part by name, with ``others`` of its processes; blocks for milliseconds."""
        roots = {state.name: {state.pid, *others.get(state.name, ())} for state in states if state.pid is not None}
        now_s = time.monotonic()
        if not roots:
            return {}
        if now_s - self._at_s >= INTERVAL_S:
            self._newest, self._seconds = self._measure(roots, now_s - self._at_s)
            self._at_s = now_s
        return self._newest

    def _measure(
        self, roots: dict[str, set[int]], span_s: float
    ) -> tuple[dict[str, Cost], dict[tuple[int, float], float]]:
        # Not at the top: an API beside servers of its own, in a container, has no use for it.
        import psutil

        below: dict[int, list[int]] = defaultdict(list)
        for process in psutil.process_iter(["ppid"]):
            below[process.info["ppid"]].append(process.pid)
        costs, seconds = {}, {}
        for name, pids in roots.items():
            used_s, known, own, shared = 0.0, False, 0, 0
            for pid in _tree(pids, below):
                try:
                    process = psutil.Process(pid)
                    with process.oneshot():
                        times, memory = process.cpu_times(), process.memory_info()
                        key = (pid, process.create_time())
                except psutil.Error:
                    continue  # it has ended meanwhile
                seconds[key] = times.user + times.system
                # Time of a process that was not there before counts from its beginning, which lies in the span.
                used_s += seconds[key] - self._seconds.get(key, seconds[key] if not self._seconds else 0.0)
                known = known or bool(self._seconds)
                common = getattr(memory, "shared", 0)
                own, shared = own + memory.rss - common, max(shared, common)
            if own or shared:
                costs[name] = Cost(used_s / span_s if known else None, own + shared)
        return costs, seconds


def _tree(roots: set[int], below: dict[int, list[int]]) -> list[int]:
    found = list(roots)
    for pid in found:
        found += (each for each in below.get(pid, ()) if each not in roots)
    return found
