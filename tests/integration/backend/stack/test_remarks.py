"""The remarks of a part that is up, and the pause of a part whose work another part takes over."""

import os
import signal
from pathlib import Path

from coffee_core.runstate import State, read_remarks, write_remarks
from tests.integration.backend.stack.programs import SLEEPER, kept, program
from tests.waiting import until

HOUR_S = 3_600.0


async def test_the_remark_follows_while_the_part_stays_up(tmp_path: Path) -> None:
    words = ["cold"]
    async with kept(tmp_path, program(SLEEPER, remark=lambda: words[-1])) as run:
        up = await run.reaches(State.UP)
        assert up.detail == "cold"
        words.append("spare, warm")
        await until(lambda: run.state.detail == "spare, warm")
        assert (run.state.state, run.state.pid, run.state.since_us) == (State.UP, up.pid, up.since_us)


async def test_a_part_that_is_not_ready_says_why_for_as_long_as_it_knows(tmp_path: Path) -> None:
    words, ready = ["PostgreSQL does not answer"], [False]

    async def answers() -> bool:
        return ready[-1]

    async with kept(tmp_path, program(SLEEPER, ready=answers, trouble=lambda: words[-1])) as run:
        await until(lambda: run.state.detail == "PostgreSQL does not answer")
        assert run.state.state is State.STARTING
        assert "PostgreSQL does not answer" in run.lines
        words.append("")
        await until(lambda: run.state.detail == "")
        ready.append(True)
        assert (await run.reaches(State.UP)).detail == ""


async def test_a_part_with_a_pause_stays_down_for_it_once_it_was_killed(tmp_path: Path) -> None:
    async with kept(tmp_path, program(SLEEPER, pause_s=HOUR_S)) as run:
        up = await run.reaches(State.UP)
        assert up.pid is not None
        os.kill(up.pid, signal.SIGKILL)
        down = await run.reaches(State.BACKOFF)
        assert down.detail == "killed by SIGKILL"
    assert run.state.state is State.STOPPED


def test_remarks_are_nothing_until_somebody_has_made_some(tmp_path: Path) -> None:
    assert read_remarks(tmp_path) == {}
    write_remarks(tmp_path, {"127.0.0.1:1234": "works"})
    assert read_remarks(tmp_path) == {"127.0.0.1:1234": "works"}
