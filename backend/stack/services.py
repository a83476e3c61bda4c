"""The Python services of the lab as parts: the API, the aggregator, the stream worker."""

import sys

from backend.stack import postgres, redis
from backend.stack.part import Part
from backend.stack.probe import http_ok
from coffee_core.settings import Settings

API = "cafe-order-api"
AGGREGATOR = "cafe-order-aggregator"
WORKER = "stream-worker"

_ANY = ("0.0.0.0", "::", "")  # noqa: S104 - compared with, not listened on
_NEEDS = (postgres.NAME, redis.NAME)


async def _runs() -> bool:
    """Say yes: a daemon without a port is ready while it runs, and waits by itself for a server that is away."""
    return True


def api(settings: Settings) -> Part:
    """Return the order API; ready when it answers, whatever its backends do."""
    host = "127.0.0.1" if settings.host in _ANY else settings.host
    url = f"http://{host}:{settings.api_port}/livez"

    async def ready() -> bool:
        return await http_ok(url)

    return Part(API, _python("backend.api"), ready, port=settings.api_port, needs=_NEEDS)


def aggregator(_settings: Settings) -> Part:
    """Return v1's aggregator."""
    return Part(AGGREGATOR, _python("backend.aggregator"), _runs, needs=_NEEDS)


def worker(_settings: Settings) -> Part:
    """Return one stream worker of v2."""
    return Part(WORKER, _python("backend.stream_worker"), _runs, needs=_NEEDS)


def _python(module: str) -> tuple[str, ...]:
    return (sys.executable, "-m", module)
