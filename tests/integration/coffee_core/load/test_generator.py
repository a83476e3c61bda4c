"""The generator, in this process and in one of its own."""

import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator

import pytest
from aiohttp import web

from coffee_core.load.generator import Generator, run_plan
from coffee_core.load.orders import OrderMix, RandomOrders
from coffee_core.load.plan import LoadReport, Plan
from coffee_core.load.schedule import Pattern, Shape
from coffee_core.load.sender import Sender
from coffee_core.load.statistics import Answer, Outcome
from coffee_core.pipelines import Pipeline
from coffee_core.pipelines.constants import V1, V2, V3
from tests.unit.coffee_core.load.peer import answering, never, peer
from tests.waiting import until

BOTH = (V1, V2)


async def test_a_burst_is_sent_once_and_every_answer_is_told() -> None:
    answers: list[Answer] = []
    mix = RandomOrders(OrderMix(repeats=0.2, malformed=0.1), seed=3, remember=True)
    async with (
        peer(answering(202, {})) as url,
        Sender(url) as sender,
        Generator(sender, mix, on_answer=answers.append) as generator,
    ):
        generator.burst(150, BOTH)
        await generator.idle()
        counts = generator.counts()
    assert {id(answer.attempt) for answer in answers} == {id(attempt) for attempt in mix.attempted}
    assert len(answers) == 300
    for pipeline in BOTH:
        one = counts[pipeline]
        assert (one.offered, one.sent, one.ended, one.in_flight) == (150, 150, 150, 0)
        assert one.outcomes[Outcome.ACKNOWLEDGED] == 150
        assert one.as_dict()["p99_us"] is not None
    assert counts[V3].sent == 0


async def test_a_rate_is_offered_whatever_the_server_does() -> None:
    async with (
        peer(never) as url,
        Sender(url, timeout_s=0.3) as sender,
        Generator(sender, RandomOrders(), in_flight=4) as generator,
    ):
        generator.run_at(200, [V1])
        assert generator.running
        await until(lambda: generator.counts()[V1].offered >= 100)
        assert generator.counts()[V1].in_flight <= 4, "bounded by the room for requests"
        generator.stop()
        await generator.idle()
        assert not generator.running
        counts = generator.counts()[V1]
        assert counts.outcomes[Outcome.UNKNOWN] == counts.sent > 0
        assert counts.offered > counts.sent, "what was dropped stays offered"


async def test_a_plan_beyond_what_is_taken_ends_with_its_overtime() -> None:
    started_s = time.monotonic()
    plan = Plan((V1,), Shape(1_000), 0.3, start_s=started_s, in_flight=2, overtime_s=0.2)
    async with peer(never) as url, Sender(url, timeout_s=0.3) as sender:
        samples = await run_plan(plan, sender)
    assert samples[V1].offered == 300
    assert 0 < samples[V1].sent < 300
    assert sum(samples[V1].outcomes.values()) == samples[V1].sent, "every answer is waited for"


async def test_each_pipeline_has_customers_of_its_own_and_a_seed_brings_them_back() -> None:
    async def intended(seed: int) -> dict[Pipeline, list[float]]:
        answers: list[Answer] = []
        async with (
            peer(answering(202, {})) as url,
            Sender(url) as sender,
            Generator(sender, RandomOrders(), on_answer=answers.append) as generator,
        ):
            generator.run_for(Shape(400, Pattern.POISSON), BOTH, 0.0, 0.5, seed)
            await generator.idle()
        return {
            pipeline: sorted(each.intended_s for each in answers if each.attempt.pipeline == pipeline)
            for pipeline in BOTH
        }

    first, again, other = await intended(7), await intended(7), await intended(8)
    assert first == again
    assert not set(first[V1]) & set(first[V2])
    assert first != other


async def test_a_slow_generator_says_that_it_is_late() -> None:
    async def slow(_: web.Request) -> web.StreamResponse:
        await asyncio.sleep(0.1)  # the server is slow: this is what is tested
        return web.json_response({}, status=202)

    async with (
        peer(slow) as url,
        Sender(url) as sender,
        Generator(sender, RandomOrders(), in_flight=1) as generator,
    ):
        generator.burst(4, [V1])
        await generator.idle()
        counts = generator.counts()[V1]
    assert counts.late == 3
    assert counts.slipped == 0, "the server held it up"
    assert counts.latency.max_us > 380_000, "from the intended time, not from the sending"


async def test_what_goes_wrong_inside_comes_out() -> None:
    def fail(_: Answer) -> None:
        raise LookupError("the test's own")

    async def run(sender: Sender) -> None:
        async with Generator(sender, RandomOrders(), on_answer=fail) as generator:
            generator.burst(3, [V1])
            await generator.idle()

    async with peer(answering(202, {})) as url, Sender(url) as sender:
        with pytest.raises(LookupError):
            await run(sender)


@pytest.fixture
async def process() -> AsyncIterator[tuple[asyncio.subprocess.Process, list[LoadReport]]]:
    """The load process against a peer that acknowledges everything, and its reports as they come."""
    async with peer(answering(202, {})) as url:
        child = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "coffee_core.load",
            url,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        reports: list[LoadReport] = []

        async def read() -> None:
            assert child.stdout is not None
            async for line in child.stdout:
                reports.append(LoadReport.from_json(line))  # noqa: PERF401

        reading = asyncio.create_task(read())
        try:
            yield child, reports
        finally:
            if child.returncode is None:
                child.kill()
            await child.wait()
            await reading


def _tell(child: asyncio.subprocess.Process, **command: object) -> None:
    assert child.stdin is not None
    child.stdin.write(json.dumps(command).encode() + b"\n")


async def test_the_process_obeys_reports_and_ends_with_its_input(
    process: tuple[asyncio.subprocess.Process, list[LoadReport]],
) -> None:
    child, reports = process
    _tell(child, do="burst", orders=20, pipelines=["v1", "v3"])
    await until(lambda: reports and reports[-1].total("sent") == 40 and reports[-1].total("in_flight") == 0)
    _tell(child, do="run", rate_per_s=50, pipelines=["v2"])
    await until(lambda: reports[-1].running and reports[-1].total("sent") > 45)
    _tell(child, do="stop")
    await until(lambda: not reports[-1].running)
    assert child.stdin is not None
    child.stdin.close()
    assert await asyncio.wait_for(child.wait(), 10) == 0


async def test_the_process_ends_with_one_line_where_it_is_told_nonsense(
    process: tuple[asyncio.subprocess.Process, list[LoadReport]],
) -> None:
    child, _ = process
    _tell(child, do="dance", pipelines=[])
    assert await asyncio.wait_for(child.wait(), 10) == 1
    assert child.stderr is not None
    assert (await child.stderr.read()).decode().splitlines() == ["'dance' is no command of the load process"]
