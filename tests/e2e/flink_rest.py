"""What the tests ask of Flink's REST API."""

import aiohttp

from coffee_core.settings import Settings


async def running_job(session: aiohttp.ClientSession) -> str:
    """Return the id of the job of the orders."""
    async with session.get("/jobs/overview") as answer:
        jobs = (await answer.json())["jobs"]
    # Beside it there may be the job that warms the spare TaskManager.
    (job,) = [job for job in jobs if job["name"] == "coffee-orders" and job["state"] == "RUNNING"]
    return str(job["jid"])


async def slots_in_use(settings: Settings) -> int:
    """Return how many slots the job runs in."""
    async with (
        aiohttp.ClientSession(settings.flink_rest_url, raise_for_status=True) as session,
        session.get(f"/jobs/{await running_job(session)}") as answer,
    ):
        return max(int(vertex["parallelism"]) for vertex in (await answer.json())["vertices"])


async def taskmanagers_in_use(settings: Settings) -> set[str]:
    """Return the names of the TaskManagers among which the job is spread."""
    names: set[str] = set()
    async with aiohttp.ClientSession(settings.flink_rest_url, raise_for_status=True) as session:
        job = await running_job(session)
        async with session.get(f"/jobs/{job}") as answer:
            vertices = [each["id"] for each in (await answer.json())["vertices"]]
        for vertex in vertices:
            async with session.get(f"/jobs/{job}/vertices/{vertex}/taskmanagers") as answer:
                names |= {each["taskmanager-id"] for each in (await answer.json())["taskmanagers"]}
    return names


async def active_taskmanager(settings: Settings) -> str:
    """Return the name of the TaskManager that runs the job."""
    async with aiohttp.ClientSession(settings.flink_rest_url, raise_for_status=True) as session:
        job = await running_job(session)
        async with session.get(f"/jobs/{job}") as answer:
            vertex = (await answer.json())["vertices"][0]["id"]
        async with session.get(f"/jobs/{job}/vertices/{vertex}/taskmanagers") as answer:
            return str((await answer.json())["taskmanagers"][0]["taskmanager-id"])
