"""Coalescing: at once at a low rate, ten times a second at most, nothing lost."""

import asyncio
import itertools

from coffee_tui.data.live import Throttle

GAP_S = 0.02


async def test_the_first_notification_passes_at_once() -> None:
    throttle = Throttle(3_600)
    throttle.notify()
    async with asyncio.timeout(10):
        assert await throttle.wait(5)


async def test_a_flood_is_one_pass_each_gap() -> None:
    throttle, loop = Throttle(GAP_S), asyncio.get_running_loop()
    passes: list[float] = []

    async def flood() -> None:
        while len(passes) < 5:
            throttle.notify()
            await asyncio.sleep(0)

    async def take() -> None:
        while len(passes) < 5:
            await throttle.wait(5)
            passes.append(loop.time())

    async with asyncio.timeout(10):
        await asyncio.gather(flood(), take())
    gaps = [later - earlier for earlier, later in itertools.pairwise(passes)]
    assert min(gaps) >= GAP_S * 0.95


async def test_a_notification_during_a_pass_leads_to_the_next() -> None:
    throttle = Throttle(0.01)
    throttle.notify()
    assert await throttle.wait(5)
    throttle.notify()
    assert await throttle.wait(5)


async def test_without_a_notification_the_time_passes() -> None:
    assert not await Throttle(GAP_S).wait(0.05)
