"""Plans of the jobs, as Flink's client makes them, kept on disk.

Planning takes a JVM and many seconds; a plan that is kept can be submitted at once, as often as it is needed.
"""

import asyncio
import hashlib
import json
import logging
import os
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from importlib.resources import files
from pathlib import Path
from typing import IO, Self

from aiohttp import web

from coffee_core.children import child_environ
from coffee_core.errors import CoffeeError
from coffee_core.parent_death_signal import dies_with_parent
from coffee_core.runstate import sync
from coffee_core.settings import Settings
from coffee_core.tasks import end_tasks
from flink.failures import client_failure

_BACKGROUND_NICENESS = 10
_RETRY_AFTER_S = 30.0
_PLANNED_WITHIN_S = 240.0
_NO_WORKERS = {"_python_worker_execution_mode": "process"}
"""Otherwise PyFlink opens a server on all interfaces, which starts Python for anybody; a remote job needs none."""
_CLIENT_VARIABLES = (
    *("FLINK_HOME", "FLINK_CONF_DIR", "FLINK_LIB_DIR", "FLINK_OPT_DIR", "FLINK_PLUGINS_DIR", "FLINK_LOG_DIR"),
    *("FLINK_IDENT_STRING", "LOG4J_PROPERTIES", "JAVA_HOME", "JDK_JAVA_OPTIONS"),
)
_SOURCES = ("flink", "coffee_core")
_SUFFIXES = (".py", ".sql", ".lua")
_CONFIGURATION = "config.yaml"
_LARGEST_PLAN_BYTES = 64 * 1024 * 1024
_PLAN_FIELD = "file_"

log = logging.getLogger("flink.submit")


class SubmitError(CoffeeError):
    """The job could not be submitted."""


class Plans:
    """The plans of one home: the latest of each kind is kept. Its methods raise SubmitError."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._folder = settings.home / "flink" / "plans"
        self._one_client = asyncio.Lock()
        self._ahead: asyncio.Task[None] | None = None
        self._ahead_of: str | None = None
        """Epoch that is planned ahead."""

    async def orders(self, epoch: str, restore: str | None = None, niceness: int = 0) -> Path:
        """Return the plan of an epoch's job, which starts from nothing or from the checkpoint at this URI."""
        return await self._get("restored" if restore else "orders", client_arguments(epoch, restore), niceness)

    async def warm_up(self, slots: int) -> Path:
        """Return the plan of the job that warms this many slots."""
        arguments = ["-P", "-m", "flink.job", "--warm-up", str(slots)]
        return await self._get(f"warm-{slots}", arguments, _BACKGROUND_NICENESS)

    def make_ahead(self, epoch: str, restore: str) -> None:
        """Plan in the background the job that is restored from this URI, where it is not planned yet."""
        if not self.is_ahead(epoch) and (self._ahead is None or self._ahead.done()):
            self._ahead = asyncio.create_task(self._make_ahead(epoch, restore))

    def is_ahead(self, epoch: str) -> bool:
        """Return whether the job of this epoch could be restored without a client."""
        return self._ahead_of == epoch

    async def close(self) -> None:
        """End what is planned in the background."""
        if self._ahead is not None:
            await end_tasks(self._ahead)

    async def _make_ahead(self, epoch: str, restore: str) -> None:
        try:
            await self.orders(epoch, restore, _BACKGROUND_NICENESS)
        except SubmitError as error:
            log.warning("the job cannot be planned ahead of its next start: %s", error)
            await asyncio.sleep(_RETRY_AFTER_S)
        else:
            self._ahead_of = epoch

    async def _get(self, kind: str, arguments: Sequence[str], niceness: int) -> Path:
        path = self._folder / f"{kind}-{await asyncio.to_thread(fingerprint, self._settings, arguments)}.plan"
        if not path.exists():
            async with self._one_client:
                if not path.exists():
                    log.info("planning: %s", " ".join(arguments[2:]))
                    await asyncio.to_thread(_keep, path, kind, await plan(arguments, niceness))
        return path


def client_arguments(epoch: str, restore: str | None) -> list[str]:
    """Return the arguments of Python that plan an epoch's job, as ``Plans.orders`` does."""
    arguments = ["-P", "-m", "flink.job", "--epoch", epoch]
    return arguments if restore is None else [*arguments, "--restore", restore]


def _keep(path: Path, kind: str, body: bytes) -> None:
    """Write a plan as a whole, readable by its owner alone (it has passwords), and remove its predecessors."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(body)
            file.flush()
            sync(handle)  # an empty plan, after a power cut, would be submitted again and again
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    for old in path.parent.glob(f"{kind}-*.plan"):
        if old != path:
            old.unlink()


def fingerprint(settings: Settings, arguments: Sequence[str]) -> str:
    """Return the digest of all that a plan depends on: where any of it changes, the job is planned again.

    That is settings, sources, Flink's jars and configuration, Python, and the arguments of the client.
    """
    digest = hashlib.sha256()
    flink_home = os.environ.get("FLINK_HOME", "")  # its name changes with every jar
    for part in (sys.prefix, sys.version, flink_home, *arguments):
        digest.update(f"{part}\n".encode())
    digest.update(json.dumps(asdict(settings), default=str, sort_keys=True).encode())
    for path in (*_sources(), Path(os.environ.get("FLINK_CONF_DIR", "")) / _CONFIGURATION):
        digest.update(f"{path}\n".encode())
        digest.update(path.read_bytes() if path.is_file() else b"")
    return digest.hexdigest()[:16]


def _sources() -> list[Path]:
    roots = (Path(str(files(package))) for package in _SOURCES)
    return sorted(path for root in roots for path in root.rglob("*") if path.suffix in _SUFFIXES)


async def plan(arguments: Sequence[str], niceness: int = 0) -> bytes:
    """Return the job that a client submits, as Flink serialises it; nothing reaches Flink. Raises SubmitError.

    ``arguments`` are those of Python: a module and its own. The client is a process of its own: it needs a JVM,
    and only while it plans a job.
    """
    with tempfile.TemporaryFile() as output:
        return await _plan(arguments, niceness, output)


async def _plan(arguments: Sequence[str], niceness: int, output: IO[bytes]) -> bytes:
    """Plan as ``plan`` does; ``output`` is a file for what the client writes."""
    async with FakeJobManager() as manager:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, *arguments),
            env=child_environ({**_client_variables(), "FLINK_REST_URL": manager.url, **_NO_WORKERS}),
            stdin=asyncio.subprocess.DEVNULL,
            # A JVM that cannot begin says so on its standard output. Not a pipe: the JVM may outlive its Python.
            stdout=output,
            stderr=output,
            preexec_fn=dies_with_parent(niceness=niceness),
        )
        try:
            async with asyncio.timeout(_PLANNED_WITHIN_S):
                await process.wait()
        except TimeoutError:
            raise SubmitError(f"the client did not plan its job within {_PLANNED_WITHIN_S:.0f} s") from None
        finally:
            if process.returncode is None:
                process.kill()
        if process.returncode != 0 or not manager.plan.done():
            output.seek(0)
            failure = client_failure(output.read().decode(errors="replace"))
            raise SubmitError(f"the job cannot be planned: {failure}")
        return manager.plan.result()


def _client_variables() -> dict[str, str]:
    """Return where Flink lies and how its JVM starts, as whoever started us has it; nothing else for Java."""
    return {name: os.environ[name] for name in _CLIENT_VARIABLES if name in os.environ}


class FakeJobManager:
    """A server on loopback that looks to a client like Flink: it keeps the job that the client submits.

    Use it as an asynchronous context manager.
    """

    def __init__(self) -> None:
        self.url = ""
        """Where it listens."""
        self.plan: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        """The first job that was submitted, as Flink serialises it."""
        application = web.Application(client_max_size=_LARGEST_PLAN_BYTES)
        application.router.add_post("/v1/jobs", self._submit)
        application.router.add_get("/v1/jobs/{id}/status", _status)
        self._runner = web.AppRunner(application, access_log=None)

    async def __aenter__(self) -> Self:
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        host, port = self._runner.addresses[0][:2]
        self.url = f"http://{host}:{port}"
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()

    async def _submit(self, request: web.Request) -> web.Response:
        form = await request.post()
        files = [field for name, field in form.items() if name.startswith(_PLAN_FIELD)]
        # A second file would be a jar or an archive of the job's own; it has none.
        (plan,) = (field for field in files if isinstance(field, web.FileField))
        if not self.plan.done():
            self.plan.set_result(plan.file.read())
        return web.json_response({"jobUrl": "/jobs/planned"}, status=202)


async def _status(_request: web.Request) -> web.Response:
    """Answer a client that waits until its job has been initialised."""
    return web.json_response({"status": "RUNNING"})
