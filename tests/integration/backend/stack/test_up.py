"""`coffee up --headless` with v1 and v2: up, down, up again with its data, and nothing left, however it ends."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import psutil
import pytest

from backend.stack.ports import is_free
from coffee_core.runstate import read_states
from coffee_core.settings import Settings
from tests.database import connected
from tests.servers import free_port
from tests.waiting import until

PARTS = {"postgres", "redis", "cafe-order-api", "cafe-order-aggregator", "stream-worker"}
COFFEE = [sys.executable, "-m", "backend.cli"]


class Home:
    """A home of its own, in a folder with a space, and the commands that work on it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        ports = (field.metadata["env"] for field in fields(Settings) if field.metadata["env"].endswith("_PORT"))
        self.env = {**os.environ, "COFFEE_HOME": str(path), **{name: str(free_port()) for name in ports}}

    def start(self, *command: str) -> "subprocess.Popen[bytes]":
        with (self.path.parent / "up.log").open("ab") as log:
            self.up = subprocess.Popen(
                command or [*COFFEE, "up", "--headless", "--pipelines", "v1,v2"],
                env=self.env,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        return self.up

    def down(self) -> int:
        """End it by `coffee down` and return the exit code of what ran."""
        result = self.coffee("down")
        assert (result.returncode, result.stdout) == (0, "everything has stopped\n"), result
        return self.up.wait(5)

    def coffee(self, *words: str, typed: str = "") -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [*COFFEE, *words], env=self.env, input=typed, capture_output=True, text=True, timeout=60, check=False
        )

    def status(self) -> dict[str, dict[str, Any]]:
        """Return the states that `coffee status --json` prints, without starting a process for every check."""
        return {part.name: asdict(part) for part in read_states(self.path)}

    async def all_up(self) -> dict[str, dict[str, Any]]:
        def up() -> dict[str, dict[str, Any]]:
            parts = self.status()
            return parts if set(parts) == PARTS and {part["state"] for part in parts.values()} == {"up"} else {}

        return await until(up, 60, f"all up; {self.log()}")

    def log(self) -> str:
        return (self.path.parent / "up.log").read_text()

    def left(self) -> list[psutil.Process]:
        """Return what runs for this home, by its environment or its arguments."""
        found = []
        for process in psutil.process_iter():
            try:
                ours = process.environ().get("COFFEE_HOME") == str(self.path)
                if ours and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
            except (psutil.NoSuchProcess, psutil.AccessDenied):
                continue
        return [process for process in found if process.pid != os.getpid()]

    async def nothing_left(self) -> None:
        await until(lambda: not self.left(), 15, "nothing runs any more")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    home = Home(tmp_path_factory.mktemp("a lab") / "coffee home")
    yield home
    for process in home.left():
        process.kill()


async def test_up_status_env_order_and_down(home: Home) -> None:
    home.start(*COFFEE, "up", "--timings", "--pipelines", "v1,v2")
    parts = await home.all_up()
    chart = await until(lambda: home.log().partition("up at  the longest of it\n")[2].partition("· waits")[0])
    assert {line.split()[0] for line in chart.splitlines()} == PARTS
    for name in ("postgres", "redis", "cafe-order-api"):
        assert psutil.Process(parts[name]["pid"]).is_running()
        assert parts[name]["port"] is not None
    status = home.coffee("status", "--json")
    assert status.returncode == 0
    assert {part["name"]: part["pid"] for part in json.loads(status.stdout)} == {
        n: p["pid"] for n, p in parts.items()
    }
    env = dict(line.split("=", 1) for line in home.coffee("env").stdout.splitlines())
    assert env["API_URL"] == f"http://127.0.0.1:{home.env['COFFEE_API_PORT']}"
    assert env.keys() == {"API_URL", "DATABASE_URL", "REDIS_URL"}, "without v3 no Kafka and no Flink are served"
    order = home.coffee("order", "all", "--drink", "latte", "--store", "uptown", "--price", "5.00")
    assert [line.split()[0] for line in order.stdout.splitlines()] == ["201", "202"], order
    second = home.coffee("up", "--headless")
    assert second.returncode == 1
    assert "already runs" in second.stderr
    assert "coffee-tui" in second.stderr
    assert home.coffee("reset", "--yes").returncode == 1
    assert home.down() == 0
    await home.nothing_left()
    assert home.coffee("status").returncode == 3
    assert home.coffee("env").returncode == 3


async def test_what_was_taken_is_still_there_and_the_home_is_closed_to_others(home: Home) -> None:
    home.env["COFFEE_HOST"] = host = "::1" if is_free(free_port(), "::1") else "127.0.0.2"
    home.start()
    await home.all_up()
    # Another address than the usual one: whoever attaches finds it.
    del home.env["COFFEE_HOST"]
    assert home.coffee("env").stdout.startswith(f"API_URL=http://{host if host != '::1' else '[::1]'}:")
    assert home.coffee("order", "v1", "--price", "5.00").stdout.split()[0] == "201"
    async with connected(Settings.from_env(home.env).database_url) as connection:
        rows = await connection.fetch("SELECT version, price_cents FROM orders ORDER BY version")
    assert [tuple(row) for row in rows] == [("v1", 500), ("v1", 500), ("v2", 500)]
    open_to_others = [
        p for p in (home.path, *home.path.rglob("*")) if p.lstat().st_mode & 0o077 and not p.is_symlink()
    ]
    assert open_to_others == []
    assert home.down() == 0


async def test_a_killed_server_comes_back(home: Home) -> None:
    home.start()
    parts = await home.all_up()
    os.kill(parts["postgres"]["pid"], signal.SIGKILL)

    def back() -> bool:
        part = home.status()["postgres"]
        return part["state"] == "up" and part["restarts"] == 1 and part["pid"] != parts["postgres"]["pid"]

    await until(back, 20)
    assert home.down() == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
async def test_a_signal_ends_everything(home: Home, number: signal.Signals) -> None:
    up = home.start()
    await home.all_up()
    up.send_signal(number)
    assert up.wait(15) == 0
    await home.nothing_left()


async def test_a_killed_up_leaves_nothing(home: Home) -> None:
    up = home.start()
    await home.all_up()
    up.kill()
    up.wait()
    await home.nothing_left()


async def test_a_port_that_is_taken_is_said_and_waited_for(home: Home) -> None:
    with socket.create_server(("127.0.0.1", int(home.env["COFFEE_REDIS_PORT"]))):
        home.start()
        part = await until(
            lambda: (part := home.status().get("redis")) and part["state"] == "backoff" and part, 20
        )
        assert f"pid {os.getpid()}" in part["detail"]
        assert "COFFEE_REDIS_PORT" in part["detail"]
    await home.all_up()
    assert home.down() == 0


async def test_honcho_runs_the_same_and_down_ends_it(home: Home) -> None:
    root = Path(__file__).parents[4]
    home.env["COFFEE_PIPELINES"] = "v1,v2"
    home.env["PATH"] = f"{Path(sys.executable).parent}:{home.env['PATH']}"
    home.start(sys.executable, "-m", "honcho", "-d", str(root), "start")
    await home.all_up()
    assert home.coffee("up", "--headless").returncode == 1
    assert home.down() == 0
    await home.nothing_left()


async def test_reset_deletes_after_asking(home: Home) -> None:
    assert home.coffee("reset", typed="n\n").returncode == 1
    assert (home.path / "postgres").exists()
    assert home.coffee("reset", "--yes").returncode == 0
    assert list(home.path.iterdir()) == []
