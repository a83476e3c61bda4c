"""Load clients, each a process, that share a plan: one process is soon the bottleneck of what it measures."""

import asyncio
import json
import os
import sys
import time
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Self

from coffee_core.errors import CoffeeError
from coffee_core.load.plan import LoadReport, Plan
from coffee_core.load.statistics import Sample
from coffee_core.parent_death_signal import dies_with_parent
from coffee_core.pipelines import Pipeline, pipeline_named

_LEAD_S = 0.15
"""Seconds between telling the clients and the first order: they all have the plan by then."""
_LONGEST_LINE = 1 << 30
_LEAVE_S = 2.0
OnReport = Callable[[Mapping[Pipeline, Mapping[str, int]]], None]
"""Told now and then, for each pipeline, the counts of all clients together."""


class ClientError(CoffeeError):
    """A load client has failed."""


class Clients:
    """So many client processes. Use it as an asynchronous context manager."""

    def __init__(self, api_url: str, number: int, environ: Mapping[str, str] | None = None) -> None:
        self._api_url = api_url
        self._number = number
        self._environ = dict(os.environ if environ is None else environ)
        self._processes: list[asyncio.subprocess.Process] = []

    async def __aenter__(self) -> Self:
        """Start the processes and wait until they can send. Raises ClientError."""
        for _ in range(self._number):
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "backend.lab.bench.load_client", self._api_url),
                env=self._environ,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                limit=_LONGEST_LINE,
                preexec_fn=dies_with_parent(),
            )
            self._processes.append(process)
        await asyncio.gather(*map(_ready, self._processes))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the processes, also in the middle of a plan."""
        for process in self._processes:
            assert process.stdin is not None, "it was started with a pipe"
            process.stdin.close()
        await asyncio.wait([asyncio.create_task(each.wait()) for each in self._processes], timeout=_LEAVE_S)
        for process in self._processes:
            if process.returncode is None:
                process.kill()
                await process.wait()

    async def run(self, plan: Plan, on_report: OnReport | None = None) -> tuple[float, dict[Pipeline, Sample]]:
        """Run a plan; return when it began (monotonic seconds) and what was measured of each pipeline.

        Raises ClientError with the words of a client that has failed.
        """
        start_s = time.monotonic() + _LEAD_S
        latest: dict[int, LoadReport] = {}

        def told(number: int, report: LoadReport) -> None:
            latest[number] = report
            if on_report is not None:
                on_report(_summed(plan, latest))

        parts = plan.split(self._number, start_s)
        pairs = zip(self._processes, parts, strict=True)
        ended = await asyncio.gather(*(_run(number, *pair, told) for number, pair in enumerate(pairs)))
        samples = {pipeline: Sample() for pipeline in plan.pipelines}
        for each in ended:
            for pipeline, sample in each.items():
                samples[pipeline].add(sample)
        return start_s, samples


async def _run(
    number: int, process: asyncio.subprocess.Process, plan: Plan, told: Callable[[int, LoadReport], None]
) -> dict[Pipeline, Sample]:
    assert process.stdin is not None, "it was started with pipes"
    assert process.stdout is not None, "it was started with pipes"
    process.stdin.write(plan.to_json().encode() + b"\n")
    async for line in process.stdout:
        said = json.loads(line)
        if "samples" in said:
            return {pipeline_named(name): Sample.from_json(text) for name, text in said["samples"].items()}
        told(number, LoadReport.from_json(said["report"]))
    raise await _ended(process)


async def _ready(process: asyncio.subprocess.Process) -> None:
    assert process.stdout is not None, "it was started with pipes"
    if not await process.stdout.readline():
        raise await _ended(process)


async def _ended(process: asyncio.subprocess.Process) -> ClientError:
    assert process.stderr is not None, "it was started with pipes"
    words = (await process.stderr.read()).decode(errors="replace").strip().splitlines()
    return ClientError(f"a load client ended: {words[-1] if words else f'exit code {await process.wait()}'}")


def _summed(plan: Plan, latest: Mapping[int, LoadReport]) -> dict[Pipeline, dict[str, int]]:
    summed: dict[Pipeline, dict[str, int]] = {pipeline: {} for pipeline in plan.pipelines}
    for report in latest.values():
        for pipeline, total in summed.items():
            for name, count in report.counts[pipeline].items():
                if not name.endswith("_us"):
                    total[name] = total.get(name, 0) + (count or 0)
    return summed
