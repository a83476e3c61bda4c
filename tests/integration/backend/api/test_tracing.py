"""One trace through all of it: the request, the stream's entry, and the lines of both processes."""

import json
import subprocess
import sys
from pathlib import Path

from redis.asyncio import Redis

from coffee_core.keys import STREAM
from tests.integration.backend.api.in_process import LocalApi
from tests.integration.backend.api.process import KEY, ORDER, running
from tests.integration.daemons import daemon, log_of
from tests.unit.backend.clients.test_trace_context import GOOD, TRACE
from tests.waiting import until


def _lines(text: str, trace_id: str = TRACE) -> list[dict[str, str]]:
    """Return the events of this trace; every line must be JSON."""
    events = [json.loads(line) for line in text.splitlines()]
    return [event for event in events if event.get("trace_id") == trace_id]


async def test_a_trace_is_in_the_lines_of_the_api_and_of_the_worker(
    tmp_path: Path, database_url: str, redis_url: str, redis: "Redis[str]"
) -> None:
    said = {"COFFEE_LOG_FORMAT": "json", "COFFEE_LOG_LEVEL": "debug"}
    servers = {"DATABASE_URL": database_url, "REDIS_URL": redis_url}
    async with running(tmp_path, COFFEE_PIPELINES="v2", **said, **servers) as api:
        await until(lambda: api.is_ready("v2"))
        await api.order("v2", key=KEY, headers={"traceparent": GOOD, "X-Request-Id": "one"})
        await redis.xadd(STREAM, {"drink": "tea", "traceparent": GOOD})
        await redis.xadd(STREAM, {"drink": "tea", "traceparent": "forged\ntrace_id=x"})
        async with daemon("backend.pipelines.v2_streams.worker", tmp_path / "worker", **_urls(servers), **said):
            shown, dead = await until(lambda: len(found := _lines(log_of(tmp_path / "worker"))) > 1 and found, 30)
    [request] = _lines((tmp_path / "api.log").read_text())
    assert (request["service"], request["request_id"], request["level"]) == ("cafe-order-api", "one", "debug")
    assert request["event"].startswith("POST /api/v2/order: 202 after ")
    assert {shown["level"], dead["level"]} == {"debug", "warning"}
    assert KEY in shown["event"] + dead["event"]


def _urls(servers: dict[str, str]) -> dict[str, str]:
    return {name.lower(): url for name, url in servers.items()}


async def test_the_entry_carries_the_traceparent_and_nothing_where_there_is_none(
    api: LocalApi, redis: "Redis[str]"
) -> None:
    await api.order("v2", headers={"traceparent": GOOD})
    await api.order("v2", headers={"traceparent": "00-nonsense"})
    await api.order("v2", key=KEY, headers={"traceparent": GOOD})
    await api.batch("v2", json.dumps([ORDER, ORDER]).encode(), headers={"traceparent": GOOD})
    found = [fields.get("traceparent") for _, fields in await redis.xrange(STREAM)]
    assert found == [GOOD, None, GOOD, GOOD, GOOD]


def test_an_error_is_one_line_of_json_with_its_traceback() -> None:
    code = (
        "import logging; from backend import logs; logs.configure('x', 'json', 'info');"
        "logs.CONTEXT.set({'request_id': 'r'}); log = logging.getLogger('backend.x');"
        "log.debug('unsaid'); log.info('%d of %d', 1, 2)\n"
        "try: 1 / 0\nexcept ZeroDivisionError: log.exception('broken')"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    said, broken = map(json.loads, ended.stderr.splitlines())
    assert (said["event"], said["request_id"], said["logger"], said["level"]) == (
        "1 of 2",
        "r",
        "backend.x",
        "info",
    )
    assert (broken["event"], broken["exception"][0]["exc_type"]) == ("broken", "ZeroDivisionError")
