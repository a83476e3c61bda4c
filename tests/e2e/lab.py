"""A running lab for the tests: the real stack from `coffee up --headless`, in a home and on ports of its own."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import Any

import psutil

from coffee_core.parent_death_signal import dies_with_parent
from coffee_core.pipelines.constants import V3
from coffee_core.runstate import PartState, State, read_states
from coffee_core.settings import Settings

ROOT = Path(__file__).parents[2]
UP_HEADLESS = (sys.executable, "-m", "backend.cli", "up", "--headless")
BASE = {"postgres", "redis", "cafe-order-api", "cafe-order-aggregator", "stream-worker"}
V3_PARTS = {"kafka", "flink-jobmanager", "flink-taskmanager-1", "flink-taskmanager-2", "flink-job"}
_READY = (State.UP, State.EXTERNAL)
STEP = 20
"""Distance between two port ranges: more than the stack has ports."""


def free_ports() -> dict[str, str]:
    """Return values for every port setting, none of them in use now."""
    names = [each.metadata["env"] for each in fields(Settings) if each.metadata["env"].endswith("_PORT")]
    for base in range(25_000 + os.getpid() % 200 * STEP, 32_000, STEP):
        ports = range(base, base + len(names))
        if all(_is_free(port) for port in ports):
            return {name: str(port) for name, port in zip(names, ports, strict=True)}
    raise RuntimeError("no free range of ports between 25000 and 32000")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


class Lab:
    """One home, its environment, and the `coffee up` that runs there now."""

    program: tuple[str, ...] = (sys.executable, "-m", "backend.cli")
    """The command ``coffee``."""

    def __init__(self, home: Path, pipelines: str, project: Path = ROOT, **environ: str) -> None:
        """``project`` is the folder whose code runs: this one, or a copy that a test changes."""
        self.home = home
        self.project = project
        self.folder = project
        """Working folder of every command."""
        keep = {name: value for name, value in os.environ.items() if not name.startswith("COFFEE_")}
        for given in ("API_URL", "DATABASE_URL", "REDIS_URL", "KAFKA_BOOTSTRAP_SERVERS", "FLINK_REST_URL"):
            keep.pop(given, None)
        self.env = (
            keep
            | free_ports()
            | {
                "COFFEE_HOME": str(home),
                "PYTHONPATH": str(project),
                # What the dashboard remembers is this user's own business.
                "XDG_CONFIG_HOME": str(home.parent / "config"),
                "COFFEE_PIPELINES": pipelines,
                "COFFEE_AGGREGATOR_INTERVAL_S": "1",
            }
            | environ
        )
        self.settings = Settings.from_env(self.env)
        self.expected = BASE | (V3_PARTS if V3 in self.settings.pipelines else set())
        """Names of the parts that must be there."""
        self._up: subprocess.Popen[bytes] | None = None

    def coffee(self, *arguments: str, timeout_s: float = 60) -> subprocess.CompletedProcess[str]:
        """Run a `coffee` command against this lab."""
        return subprocess.run(
            [*self.program, *arguments],
            cwd=self.folder,
            env=self.env,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            stdin=subprocess.DEVNULL,
            check=False,
        )

    def status(self) -> dict[str, dict[str, Any]]:
        """Return what `coffee status --json` says, by name."""
        done = self.coffee("status", "--json")
        return {part["name"]: part for part in json.loads(done.stdout)}

    def parts(self) -> dict[str, PartState]:
        """Return what the parts publish of themselves, by name, without a process that is asked."""
        return {part.name: part for part in read_states(self.home)}

    def start(self, command: Sequence[str] = UP_HEADLESS, within_s: float = 240) -> None:
        """Start the stack and wait until every part of it is up."""
        log = (self.home.parent / "up.log").open("ab")
        self._up = subprocess.Popen(
            command,
            cwd=self.folder,
            env=self.env,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=dies_with_parent(signal.SIGINT),  # also where the tests are killed
        )
        log.close()
        deadline = time.monotonic() + within_s
        while True:
            parts = self.parts()
            if set(parts) >= self.expected and all(part.state in _READY for part in parts.values()):
                return
            if self._up.poll() is not None or time.monotonic() > deadline:
                raise AssertionError(f"not up: {parts}\n{self.report()}")
            time.sleep(0.25)

    def stop(self, within_s: float = 60) -> int:
        """End the stack as Ctrl-C does and return its exit code."""
        assert self._up is not None
        self._up.send_signal(signal.SIGINT)
        code = self._up.wait(timeout=within_s)
        self._up = None
        return code

    @contextmanager
    def running(self) -> "Iterator[Lab]":
        """Start it, and end it afterwards as a user would; nothing is left behind, whatever went wrong."""
        try:
            self.start()
            yield self
            assert self.stop() == 0, self.report()
        finally:
            self.kill_if_running()

    def kill_if_running(self) -> None:
        """Leave nothing behind, whatever went wrong."""
        if self._up is not None:
            self._up.kill()
            self._up.wait()
        for process in self.processes():
            process.kill()

    def processes(self) -> list[psutil.Process]:
        """Return every live process that was started for this home, by its environment."""
        mine = []
        for process in psutil.process_iter():
            try:
                of_this_home = process.environ().get("COFFEE_HOME") == str(self.home)
                if of_this_home and process.pid != os.getpid() and process.status() != psutil.STATUS_ZOMBIE:
                    mine.append(process)
            except (psutil.NoSuchProcess, psutil.AccessDenied):
                continue
        return mine

    def left(self) -> list[str]:
        """Return the command lines of what still runs: a helper may end a moment after its parent."""
        lines = []
        for process in self.processes():
            try:
                lines.append(" ".join(process.cmdline()))
            except psutil.NoSuchProcess:
                continue
        return lines

    def report(self) -> str:
        """Return the ends of all logs, for a failure's message."""
        logs = [self.home.parent / "up.log", *sorted((self.home / "logs").glob("*.log"))]
        return "\n".join(f"--- {log.name}\n{_tail(log)}" for log in logs if log.exists())

    def pid_of(self, name: str) -> int:
        """Return the process id of a part."""
        pid = self.parts()[name].pid
        assert pid is not None
        return pid


def _tail(log: Path, characters: int = 3_000) -> str:
    return log.read_text(encoding="utf-8", errors="replace")[-characters:]
