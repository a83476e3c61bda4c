import asyncio

import pytest

from backend.pipelines.v2_streams.worker import gather_or_cancel


async def test_all_of_it_is_done_at_once() -> None:
    first, second = asyncio.Event(), asyncio.Event()

    async def one() -> None:
        first.set()
        await second.wait()

    async def other() -> None:
        await first.wait()
        second.set()

    async with asyncio.timeout(10):
        await gather_or_cancel(one(), other())


async def test_the_error_of_one_ends_the_others_first() -> None:
    ended: list[str] = []

    async def fails() -> None:
        raise ValueError("of this one")

    async def lasts() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("lasts")

    with pytest.raises(ValueError, match="of this one"):
        await gather_or_cancel(lasts(), fails())
    assert ended == ["lasts"]


async def test_who_is_cancelled_leaves_nothing_behind() -> None:
    began, ended = asyncio.Event(), asyncio.Event()

    async def lasts() -> None:
        began.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    running = asyncio.create_task(gather_or_cancel(lasts()))
    await began.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert ended.is_set()
