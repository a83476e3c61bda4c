"""Takes the job that a client submits, in place of a JobManager."""

import asyncio
from typing import Self

from aiohttp import web

_LARGEST_PLAN_BYTES = 64 * 1024 * 1024
_PLAN_PART = "file_"


class Catcher:
    """A server on loopback that a client takes for Flink. Use it as an asynchronous context manager."""

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
        """Listen."""
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        host, port = self._runner.addresses[0][:2]
        self.url = f"http://{host}:{port}"
        return self

    async def __aexit__(self, *_: object) -> None:
        """Listen no more."""
        await self._runner.cleanup()

    async def _submit(self, request: web.Request) -> web.Response:
        form = await request.post()
        files = [field for name, field in form.items() if name.startswith(_PLAN_PART)]
        # A second file would be a jar or an archive of the job's own; it has none.
        (plan,) = (field for field in files if isinstance(field, web.FileField))
        if not self.plan.done():
            self.plan.set_result(plan.file.read())
        return web.json_response({"jobUrl": "/jobs/caught"}, status=202)


async def _status(_request: web.Request) -> web.Response:
    """Answer a client that waits until its job has been initialised."""
    return web.json_response({"status": "RUNNING"})
