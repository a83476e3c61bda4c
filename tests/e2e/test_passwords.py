"""No part of the running lab tells a password; the files that have one are private."""

import contextlib
import stat
import sys
from pathlib import Path

import aiohttp
import psutil

from coffee_core.passwords import read_password
from tests.e2e.flink_rest import running_job
from tests.e2e.lab import Lab
from tests.e2e.terminal import Terminal
from tests.waiting import until

OF_THE_JOB = ("", "/plan", "/config", "/exceptions", "/jobmanager/config")
OF_THE_CLUSTER = ("/jobmanager/config", "/jobmanager/environment", "/jobs/overview", "/config")


def passwords(lab: Lab) -> list[bytes]:
    return [read_password(lab.home, server).encode() for server in ("postgres", "redis")]


def told(text: bytes, lab: Lab) -> bool:
    return any(password in text for password in passwords(lab))


async def test_flink_tells_no_password(lab: Lab) -> None:
    async with aiohttp.ClientSession(lab.settings.flink_rest_url, raise_for_status=True) as session:
        job = await running_job(session)
        for path in (*(f"/jobs/{job}{page}" for page in OF_THE_JOB), *OF_THE_CLUSTER):
            async with session.get(path) as answer:
                assert not told(await answer.read(), lab), path


def test_no_argument_tells_a_password(lab: Lab) -> None:
    assert all(passwords(lab))
    assert not [line for line in lab.left() if told(line.encode(), lab)]


def test_files_with_a_password_are_their_owners_alone_and_no_logs(lab: Lab) -> None:
    # The broker's files are large, and it was never told one.
    folders = [path for path in lab.home.iterdir() if path.is_dir() and path.name != "kafka"]
    having: dict[Path, int] = {}
    for path in (path for folder in folders for path in folder.rglob("*")):
        with contextlib.suppress(FileNotFoundError):  # the lab runs: files come and go
            if path.is_file() and told(path.read_bytes(), lab):
                having[path] = stat.S_IMODE(path.stat().st_mode)
    assert {"env", "valkey.conf", "postgres", "redis"} <= {path.name for path in having}
    for path, mode in having.items():
        assert ".log" not in path.name, path
        assert mode & 0o077 == 0, path


async def test_the_dashboard_has_them_from_the_first_start_on(small_lab: Lab) -> None:
    terminal = Terminal([sys.executable, "-m", "backend.cli", "up"], small_lab.env)

    def dashboard() -> psutil.Process | None:
        assert terminal.process.poll() is None, terminal.text
        children = psutil.Process(terminal.process.pid).children()
        # Between fork and exec a child is still what started it.
        return next((child for child in children if child.cmdline()[-2:] == ["-m", "coffee_tui"]), None)

    try:
        env = (await until(dashboard, within_s=120)).environ()
        for name in ("DATABASE_URL", "REDIS_URL"):
            assert told(env[name].encode(), small_lab)
            assert env[name] == small_lab.settings.addresses[name]
        terminal.type("\x03")
        await until(lambda: terminal.process.poll() is not None, within_s=120)
    finally:
        terminal.close()
