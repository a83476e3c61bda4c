"""Cancelling that leaves nothing running."""

import asyncio

import pytest

from coffee_core.tasks import end_tasks, finish, run_together


async def test_all_of_it_is_done_at_once() -> None:
    first, second = asyncio.Event(), asyncio.Event()

    async def one() -> None:
        first.set()
        await second.wait()

    async def other() -> None:
        await first.wait()
        second.set()

    async with asyncio.timeout(10):
        await run_together(one(), other())


async def test_what_is_to_be_finished_is_finished_however_often_it_is_cancelled() -> None:
    go, done = asyncio.Event(), list[str]()

    async def work() -> str:
        await go.wait()
        done.append("work")
        return "result"

    waiting = asyncio.create_task(finish(work()))
    for _ in range(3):
        await asyncio.sleep(0)
        waiting.cancel()
    await asyncio.sleep(0)
    assert not waiting.done()
    go.set()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert done == ["work"]
    assert await finish(work()) == "result"


async def test_the_error_of_what_is_finished_is_raised() -> None:
    async def fails() -> None:
        raise ValueError("of this one")

    with pytest.raises(ValueError, match="of this one"):
        await finish(fails())


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
        await run_together(lasts(), fails())
    assert ended == ["lasts"]


async def test_who_is_cancelled_leaves_nothing_behind() -> None:
    began, ended = asyncio.Event(), asyncio.Event()

    async def lasts() -> None:
        began.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    running = asyncio.create_task(run_together(lasts()))
    await began.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert ended.is_set()


async def test_a_cancellation_that_was_lost_is_asked_for_again() -> None:
    began = asyncio.Event()
    asked = 0

    async def loses_the_first() -> None:
        nonlocal asked
        while asked < 2:
            began.set()
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                asked += 1
        raise ValueError("that nobody asks for")

    task = asyncio.create_task(loses_the_first())
    await began.wait()
    async with asyncio.timeout(10):
        await end_tasks(task)
    assert task.done()
    assert asked == 2
