"""The compose file, run by whatever engine is installed: a project of its own, on ports of its own."""

import asyncio
import json
import os
import shutil
import signal
import subprocess
import uuid
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Any

import aiohttp

from coffee_core.pipelines import PIPELINES
from coffee_core.pipelines.constants import V4, V5
from tests.servers import free_port
from tests.waiting import until

ROOT = Path(__file__).parents[2]
PROFILES = ("all", V4, V5)
"""Those of the compose file that start every pipeline."""
PASSWORD = "p@ss/w:or%d#?&=+ [ü]"
_ANONYMOUS = 64
"""Letters of the name of a volume that nobody has named."""
_ORDER = {"drink": "latte", "store": "uptown", "price": 5.00, "timestamp": "2025-01-15T10:00:00Z"}
_ACCEPTED = (HTTPStatus.CREATED, HTTPStatus.ACCEPTED)
_AT_ONCE = 8


def find_engine() -> str | None:
    """Return ``docker`` where its daemon answers and it has compose, else None."""
    if shutil.which("docker") is None:
        return None
    for words in (("info",), ("compose", "version")):
        if subprocess.run(["docker", *words], capture_output=True, check=False).returncode:
            return None
    return "docker"


@dataclass
class Project:
    """A compose project. Its methods raise AssertionError with what the engine has said."""

    engine: str
    sent: dict[str, int] = field(default_factory=lambda: dict.fromkeys(PIPELINES, 0))
    """Orders that have been accepted, by pipeline."""

    def __post_init__(self) -> None:
        names = ("COFFEE_API_PORT", "COFFEE_WEB_PORT", "COFFEE_FLINK_REST_PORT")
        self.ports = {name: str(free_port()) for name in names}
        given = {"COMPOSE_PROJECT_NAME": f"coffee-rt-test-{os.getpid()}", "COFFEE_POSTGRES_PASSWORD": PASSWORD}
        chosen = {"COMPOSE_PROFILES": ",".join(PROFILES), "COFFEE_PIPELINES": ",".join(PIPELINES)}
        self._environ = {**os.environ, **self.ports, **given, **chosen}

    @property
    def api(self) -> str:
        return f"http://localhost:{self.ports['COFFEE_API_PORT']}"

    @property
    def dashboard(self) -> str:
        return f"http://localhost:{self.ports['COFFEE_WEB_PORT']}"

    @property
    def flink(self) -> str:
        return f"http://localhost:{self.ports['COFFEE_FLINK_REST_PORT']}"

    def compose(self, *words: str) -> str:
        """Run ``compose`` at the root of the repository and return what it has printed; blocks."""
        return self._run([self.engine, "compose", *words])

    def up(self, *words: str) -> None:
        """Start what does not run, and wait until all of it is healthy."""
        self.compose("up", "--detach", "--wait", "--quiet-pull", *words)

    def containers(self, service: str) -> list[str]:
        """Return the ids of the containers that run a service."""
        return self.compose("ps", "--quiet", "--no-trunc", service).split()

    def inspect(self, container: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self._run([self.engine, "inspect", container]))[0]
        return found

    def address(self, container: str) -> str:
        """Return its address in the project's network, which this machine has a way to."""
        (network,) = self.inspect(container)["NetworkSettings"]["Networks"].values()
        return str(network["IPAddress"])

    def down(self) -> None:
        """Remove the project, whatever profile started its parts; the images stay."""
        profiles = (f"--profile={each}" for each in (*PROFILES, "observability"))
        self.compose(*profiles, "down", "--volumes", "--timeout", "30")

    def crash(self, container: str) -> None:
        """Kill what a container runs, as the system does it: ``docker kill`` would count as the user's wish."""
        os.kill(self.inspect(container)["State"]["Pid"], signal.SIGKILL)

    def is_back(self, container: str) -> bool:
        """Tell whether the engine has started it again, and it is healthy."""
        found = self.inspect(container)
        return found["RestartCount"] > 0 and found["State"]["Health"]["Status"] == "healthy"

    def anonymous_volumes(self) -> set[str]:
        names = self._run([self.engine, "volume", "ls", "--quiet"]).split()
        return {name for name in names if len(name) == _ANONYMOUS}

    def audit(self) -> dict[str, dict[str, Any]]:
        """Audit by the image's own command, id by id; return the account of each pipeline."""
        command = ("python", "-m", "backend.cli", "audit", "--json", "--deep", "--settle", "120")
        report = json.loads(self.compose("exec", "--no-TTY", "cafe-order-api", *command))
        return {each["pipeline"]: each for each in report["pipelines"]}

    async def send(self, orders: int) -> None:
        """Send so many orders into each pipeline, each as often as it takes until it is accepted."""
        slots = asyncio.Semaphore(_AT_ONCE)
        async with aiohttp.ClientSession(self.api, timeout=aiohttp.ClientTimeout(total=10)) as session:

            async def order(pipeline: str) -> None:
                key = {"Idempotency-Key": str(uuid.uuid4())}
                async with slots:
                    await until(lambda: _accepted(session, pipeline, key), 120)
                self.sent[pipeline] += 1

            async with asyncio.TaskGroup() as group:
                for _ in range(orders):
                    for pipeline in PIPELINES:
                        group.create_task(order(pipeline))

    def _run(self, command: list[str]) -> str:
        found = subprocess.run(
            command, cwd=ROOT, env=self._environ, capture_output=True, text=True, check=False, timeout=900
        )
        assert found.returncode == 0, f"{' '.join(command)}: {(found.stdout + found.stderr)[-4000:]}"
        return found.stdout


async def _accepted(session: aiohttp.ClientSession, pipeline: str, key: dict[str, str]) -> bool:
    try:
        async with session.post(f"/api/{pipeline}/order", json=_ORDER, headers=key) as answer:
            return answer.status in _ACCEPTED
    except (aiohttp.ClientError, TimeoutError):
        return False
