"""``coffee savepoint``: the state of v3's job as a whole, kept until somebody removes it.

It lies beside the checkpoints of the epoch, where the submitter looks for what to continue from: a job that was
stopped with a savepoint begins again there, with whatever code and settings the submitter has by then.
"""

import asyncio
import time
from dataclasses import dataclass
from typing import Any

from aiohttp import ClientError, ClientSession, ClientTimeout

from backend.daemon import open_redis
from backend.lab.servers import UnreachableError, naming_servers
from backend.stack.flink_job import JOB
from coffee_core.checkpoints import checkpoints_uri
from coffee_core.errors import CoffeeError
from coffee_core.keys import SAVEPOINTS, MetricKeys
from coffee_core.pipelines import Pipeline
from coffee_core.settings import Settings

_REQUEST = ClientTimeout(total=10)
_WITHIN_S = 300.0
_STEP_S = 0.1


@dataclass(frozen=True, slots=True)
class Savepoint:
    """A savepoint that is complete."""

    uri: str
    """Where it lies."""
    job: str
    """The job whose state it is."""
    stopped: bool
    """The job has ended with it: nothing was counted after it."""
    seconds: float
    """How long it took."""


async def take_savepoint(settings: Settings, *, stop: bool) -> Savepoint:
    """Take one, and with ``stop`` end the job with it.

    Raises UnreachableError; CoffeeError where no job runs or Flink cannot complete it: the job then runs on.
    """
    with naming_servers(settings):
        async with open_redis(settings.redis_url) as client:
            epoch = await client.get(MetricKeys(Pipeline.V3).fence)
    if epoch is None:
        raise CoffeeError("Redis has no epoch of v3: see `coffee status`")
    folder = f"{checkpoints_uri(settings, epoch)}/{SAVEPOINTS}"
    started = time.monotonic()
    try:
        async with ClientSession(settings.flink_rest_url, timeout=_REQUEST, raise_for_status=True) as session:
            job = await _job(session)
            uri = await _taken(session, job, folder, stop=stop)
    except (ClientError, TimeoutError, OSError) as error:
        raise UnreachableError(
            f"Flink at {settings.flink_rest_url} cannot be reached ({error or type(error).__name__}):"
            " `coffee status` tells what runs"
        ) from error
    return Savepoint(uri, job, stop, round(time.monotonic() - started, 1))


async def _job(session: ClientSession) -> str:
    async with session.get("/jobs/overview") as answer:
        jobs: list[dict[str, Any]] = (await answer.json())["jobs"]
    running = [each["jid"] for each in jobs if each["name"] == JOB and each["state"] == "RUNNING"]
    if not running:
        raise CoffeeError("no job of v3 runs: see `coffee status`")
    return str(running[0])


async def _taken(session: ClientSession, job: str, folder: str, *, stop: bool) -> str:
    wanted = (
        ("stop", {"targetDirectory": folder, "drain": False})
        if stop
        else ("savepoints", {"target-directory": folder, "cancel-job": False})
    )
    async with session.post(f"/jobs/{job}/{wanted[0]}", json=wanted[1]) as answer:
        request = (await answer.json())["request-id"]
    give_up_at = time.monotonic() + _WITHIN_S
    while time.monotonic() < give_up_at:
        async with session.get(f"/jobs/{job}/savepoints/{request}") as answer:
            said = await answer.json()
        if said["status"]["id"] == "COMPLETED":
            operation = said["operation"]
            if "location" not in operation:
                cause = str(operation["failure-cause"].get("stack-trace", "")).partition("\n")[0]
                raise CoffeeError(f"Flink could not complete the savepoint: {cause}")
            return str(operation["location"])
        await asyncio.sleep(_STEP_S)
    raise CoffeeError(f"the savepoint is not complete after {_WITHIN_S:.0f} s: see the log of the JobManager")
