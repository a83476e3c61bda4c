"""The wrapper: restarts with growing pauses, ends in order, waits for what it needs, reports what is wrong."""

import asyncio
import itertools
import os
import signal
import socket
import sys
from pathlib import Path

import psutil

from backend.stack.part import Part, report_progress
from coffee_core.errors import StackError
from coffee_core.runstate import PartState, State, alive, read_state, write_state
from tests.integration.backend.stack.programs import NAME, SLEEPER, kept, program
from tests.waiting import until


async def test_a_ready_part_is_up_with_the_pid_of_its_process(tmp_path: Path) -> None:
    async with kept(tmp_path, program(SLEEPER)) as run:
        state = await run.reaches(State.UP)
        assert state.pid is not None
        assert state.pid != os.getpid()
        assert state.wrapper_pid == os.getpid()
        log = tmp_path / "logs" / f"{NAME}.log"
        await until(lambda: "runs" in log.read_text())
        assert log.stat().st_mode & 0o777 == 0o600
    assert run.state.state is State.STOPPED
    assert not alive(state.pid)


async def test_a_part_that_dies_is_started_again_after_growing_pauses(tmp_path: Path) -> None:
    starts = tmp_path / "starts"
    code = f"import sys, time; open({str(starts)!r}, 'a').write(f'{{time.monotonic()}}\\n'); sys.exit('boom')"
    async with kept(tmp_path, program(code)) as run:
        await until(lambda: run.state.restarts >= 4)
        state = await run.reaches(State.BACKOFF)
        assert state.detail.startswith("ended with exit code 1: boom (the same ")
        assert state.pid is None
    times = [float(line) for line in starts.read_text().split()]
    pauses = [later - earlier for earlier, later in itertools.pairwise(times)]
    assert all(pause >= least for pause, least in zip(pauses, (0.05, 0.1, 5.0), strict=False)), pauses
    assert "ended with exit code 1: boom; starting again" in run.lines
    lasting = "ended with exit code 1: boom; the same 3 times: starting again every 30 s until that is mended"
    assert lasting in run.lines


async def test_a_part_that_aborts_says_why_and_is_started_seldom(tmp_path: Path) -> None:
    code = "import os, sys; print('free(): invalid pointer', flush=True); os.abort()"
    async with kept(tmp_path, program(code)) as run:
        lasting = "killed by SIGABRT: free(): invalid pointer; the same 3 times: starting again every 30 s"
        await until(lambda: any(line.startswith(lasting) for line in run.lines))


async def test_a_killed_part_comes_back_with_another_pid(tmp_path: Path) -> None:
    async with kept(tmp_path, program(SLEEPER)) as run:
        first = await run.reaches(State.UP)
        assert first.pid is not None
        os.kill(first.pid, signal.SIGKILL)
        await until(lambda: run.state.state is State.UP and run.state.pid != first.pid)
        assert run.state.restarts == 1
        assert "killed by SIGKILL; starting again" in run.lines


async def test_the_stop_signal_comes_first(tmp_path: Path) -> None:
    note = tmp_path / "signal"
    code = (
        "import signal, sys\n"
        f"def note(number, frame): open({str(note)!r}, 'w').write(signal.Signals(number).name); sys.exit(0)\n"
        "for number in (signal.SIGTERM, signal.SIGINT): signal.signal(number, note)\n"
        "print('listens', flush=True)\n"
        "while True: signal.pause()"
    )
    async with kept(tmp_path, program(code, stop_signal=signal.SIGINT)) as run:
        await run.reaches(State.UP)
        await until(lambda: "listens" in (tmp_path / "logs" / f"{NAME}.log").read_text())
    assert note.read_text() == "SIGINT"


async def test_a_part_that_does_not_end_is_killed_with_all_that_it_started(tmp_path: Path) -> None:
    code = (
        "import os, signal\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "print(os.fork(), flush=True)\n"
        "while True: signal.pause()"
    )
    log = tmp_path / "logs" / f"{NAME}.log"
    async with kept(tmp_path, program(code, stop_within_s=0.3)) as run:
        pid = (await run.reaches(State.UP)).pid
        await until(lambda: len(log.read_text().split()) == 2)
    assert run.lines[-2:] == ["did not end within 0.3 s and was killed", "stopped"]
    grandchild = next(int(word) for word in log.read_text().split() if word != "0")
    assert pid is not None
    # The grandchild is nobody's to reap here: gone, or a zombie of the session's reaper.
    await until(lambda: not alive(grandchild) or _is_zombie(grandchild))
    assert not alive(pid)


def _is_zombie(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True


async def test_a_taken_port_is_named_with_its_owner_and_its_setting(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        async with kept(tmp_path, program(SLEEPER, port=port), redis_port=port) as run:
            state = await run.reaches(State.BACKOFF)
            assert f"port {port} is taken by " in state.detail
            assert f"(pid {os.getpid()})" in state.detail
            assert "COFFEE_REDIS_PORT" in state.detail
            taken.close()
            await run.reaches(State.UP)


async def test_a_part_waits_for_what_it_needs(tmp_path: Path) -> None:
    def other(state: State) -> None:
        write_state(tmp_path, PartState("other", None, None, state, wrapper_pid=os.getpid()))

    other(State.STARTING)
    async with kept(tmp_path, program(SLEEPER, needs=("other",))) as run:
        state = await run.reaches(State.WAITING)
        await until(lambda: run.state.detail == "for other")
        assert state.pid is None
        other(State.EXTERNAL)
        await run.reaches(State.UP)


async def test_a_part_ends_after_those_that_need_it(tmp_path: Path) -> None:
    def other(state: State) -> None:
        write_state(tmp_path, PartState("other", 1, None, state, wrapper_pid=os.getpid()))

    async with kept(tmp_path, program(SLEEPER), dependents=("other",)) as run:
        pid = (await run.reaches(State.UP)).pid
        other(State.STOPPING)
        run.wrapper.stop()
        await run.reaches(State.STOPPING)
        assert pid is not None
        assert alive(pid)
        other(State.STOPPED)
        await run.reaches(State.STOPPED)


async def test_an_external_part_is_asked_and_settled_and_has_no_process(tmp_path: Path) -> None:
    answers, settled = False, 0

    async def ready() -> bool:
        return answers

    async def settle() -> None:
        nonlocal settled
        settled += 1

    async with kept(
        tmp_path, Part(NAME, (), ready, settle=settle, external=True, given="REDIS_URL is db:1")
    ) as run:
        reason = "REDIS_URL is db:1, which does not answer: unset REDIS_URL to use the embedded server"
        await until(lambda: run.state.detail == reason)
        assert (run.state.state, settled) == (State.WAITING, 0)
        answers = True
        state = await run.reaches(State.EXTERNAL)
        assert (state.pid, settled) == (None, 1)


async def test_settling_is_tried_again_without_a_new_process(tmp_path: Path) -> None:
    attempts = 0

    async def settle() -> None:
        nonlocal attempts
        attempts += 1
        if attempts < 3:
            raise StackError("no table yet")

    async with kept(tmp_path, program(SLEEPER, settle=settle)) as run:
        state = await run.reaches(State.UP)
        assert (attempts, state.restarts) == (3, 0)
        assert "no table yet; trying again" in run.lines


async def test_what_goes_wrong_in_a_parts_own_code_is_said_and_tried_again(tmp_path: Path) -> None:
    attempts = 0

    async def prepare() -> None:
        nonlocal attempts
        attempts += 1
        if attempts == 1:
            raise ZeroDivisionError("a mistake")

    async with kept(tmp_path, program(SLEEPER, prepare=prepare)) as run:
        await run.reaches(State.UP)
        assert any("ZeroDivisionError: a mistake" in line for line in run.lines)
        assert "Traceback" in (tmp_path / "logs" / f"{NAME}.log").read_text()


async def test_progress_is_published_while_a_part_is_prepared(tmp_path: Path) -> None:
    seen: list[str] = []

    async def prepare() -> None:
        report_progress("fetching, 1 of 2 MB")
        await until(lambda: run.state.detail == "fetching, 1 of 2 MB")
        seen.append(run.state.detail)

    async with kept(tmp_path, program(SLEEPER, prepare=prepare)) as run:
        state = await run.reaches(State.UP)
        assert (seen, state.detail) == (["fetching, 1 of 2 MB"], "")
        assert run.passing == seen


async def test_a_killed_wrapper_takes_its_process_with_it(tmp_path: Path) -> None:
    code = (
        "import asyncio, pathlib, sys\n"
        "from tests.integration.backend.stack.programs import SLEEPER, Kept, program\n"
        "async def main():\n"
        f"    await Kept(pathlib.Path({str(tmp_path)!r}), program(SLEEPER)).task\n"
        "asyncio.run(main())"
    )
    wrapper = await asyncio.create_subprocess_exec(sys.executable, "-c", code)
    try:
        run_file = tmp_path / "run" / f"{NAME}.json"
        await until(lambda: run_file.exists() and '"up"' in run_file.read_text(), 10)
        state = read_state(tmp_path, NAME)
        assert state is not None
        assert state.pid is not None
        pid = state.pid
        assert alive(pid)
    finally:
        wrapper.kill()
        await wrapper.wait()
    await until(lambda: not alive(pid) or _is_zombie(pid))
    stopped = read_state(tmp_path, NAME)
    assert stopped is not None
    assert stopped.state is State.STOPPED
