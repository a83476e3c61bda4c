"""The Python services of the lab as parts: the API, the aggregator, the stream worker."""

import sys

from backend.stack import postgres, redis
from backend.stack.part import Part
from backend.stack.probe import http_ok
from coffee_core.runstate import READY_FILE, run_dir
from coffee_core.settings import Settings

API = "cafe-order-api"
AGGREGATOR = "cafe-order-aggregator"
WORKER = "stream-worker"

_ANY = ("0.0.0.0", "::", "")  # noqa: S104 - compared with, not listened on
_NEEDS = (postgres.NAME, redis.NAME)


def api(settings: Settings) -> Part:
    """Return the order API; ready when it answers, whatever its backends do."""
    host = "127.0.0.1" if settings.host in _ANY else settings.host
    url = f"{settings.api_scheme}://{host}:{settings.api_port}/livez"

    async def ready() -> bool:
        return await http_ok(url)

    return Part(API, _python("backend.api"), ready, port=settings.api_port, needs=_NEEDS)


def aggregator(settings: Settings) -> Part:
    """Return v1's aggregator."""
    return _daemon(settings, AGGREGATOR, "backend.aggregator")


def worker(settings: Settings) -> Part:
    """Return one stream worker of v2."""
    return _daemon(settings, WORKER, "backend.stream_worker")


def _daemon(settings: Settings, name: str, module: str) -> Part:
    """Return a daemon that listens nowhere: ready while the file is there by which it says so."""
    file = run_dir(settings.home) / f"{name}.ready"

    async def prepare() -> None:
        file.unlink(missing_ok=True)

    async def ready() -> bool:
        return file.exists()

    return Part(name, _python(module), ready, env={READY_FILE: str(file)}, needs=_NEEDS, prepare=prepare)


def _python(module: str) -> tuple[str, ...]:
    return (sys.executable, "-m", module)
