"""Tasks are ended, not only asked to end."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

_ASK_AGAIN_S = 0.25
_T = TypeVar("_T")


async def end_tasks(*tasks: "asyncio.Future[Any]", ask_again_s: float = _ASK_AGAIN_S) -> None:
    """Cancel these and return when all have ended, however they have.

    Whoever takes time to end (a member of a consumer group leaves it) is given ``ask_again_s`` seconds for that.

    They are asked again until they have: ``asyncio.wait_for`` loses a cancellation that comes at the moment at
    which what it waits for is done (until Python 3.12: CPython issue 86296), and redis-py sends each command by
    it. Where they were asked once, one of three dashboards that were ended on a busy machine stayed for ever.
    """
    while pending := [task for task in tasks if not task.done()]:
        for task in pending:
            task.cancel()
        await asyncio.wait(pending, timeout=ask_again_s)
    await asyncio.gather(*tasks, return_exceptions=True)  # how they ended is nobody's news any more


async def finish(work: Coroutine[Any, Any, _T]) -> _T:
    """Run this to its end and return what it returns, also where whoever waits for it is cancelled meanwhile.

    That is raised then, when the work has ended, in the place of its result.
    """
    task = asyncio.create_task(work)
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait({task})
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        await asyncio.gather(task, return_exceptions=True)
        raise cancelled
    return task.result()


async def run_together(*work: Coroutine[Any, Any, None]) -> None:
    """Run these at once, begun in this order, and return when all have ended.

    Where one fails the others are cancelled; its error is raised when they have ended too. (A TaskGroup would wrap
    it in an ExceptionGroup, ask each only once to end, and take one that was cancelled from within for one that
    has done its work.)
    """
    tasks = [asyncio.create_task(coroutine) for coroutine in work]
    try:
        await asyncio.gather(*tasks)
    finally:
        await end_tasks(*tasks)
