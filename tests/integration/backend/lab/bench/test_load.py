"""``coffee load`` against real servers: what it says agrees with what is stored and shown."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from backend.clients.daemon import Database
from tests.integration.backend.api.process import running
from tests.integration.daemons import daemon
from tests.integration.shown import stored
from tests.waiting import until


@pytest.fixture
async def environ(tmp_path: Path, database_url: str, redis_url: str) -> AsyncIterator[dict[str, str]]:
    """Environment of a command that meets an API and a stream worker of v2."""
    given = {"DATABASE_URL": database_url, "REDIS_URL": redis_url, "COFFEE_PIPELINES": "v1,v2"}
    async with (
        running(tmp_path, **given) as api,
        daemon("backend.pipelines.v2_streams.worker", tmp_path / "worker", database_url, redis_url),
    ):
        await until(lambda: api.is_ready("v2"), 30)
        yield {**os.environ, **given, "COFFEE_HOME": str(tmp_path), "API_URL": api.base_url}


async def coffee(environ: dict[str, str], *words: str) -> tuple[int | None, str, str]:
    """Run a command; return its exit code and both outputs."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "backend.cli", *words),
        env=environ,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    output, stderr = await process.communicate()
    return process.returncode, output.decode(), stderr.decode()


async def load(environ: dict[str, str], *words: str) -> tuple[int | None, dict[str, Any], str]:
    code, output, stderr = await coffee(environ, "load", "v2", "--json", *words)
    return code, json.loads(output), stderr


async def test_every_order_is_sent_answered_stored_and_seen(environ: dict[str, str], connection: Database) -> None:
    shape = ("--rate", "100", "--for", "2", "--shape", "poisson", "--seed", "7", "--clients", "2")
    code, report, stderr = await load(environ, *shape, "--repeats", "0.2", "--malformed", "0.1")
    found = report["pipelines"]["v2"]
    assert code in (0, 5), "a machine that is busy may keep the generator from its schedule"
    assert report["schema"] == "coffee-load/1"
    assert found["offered"] == found["sent"] == found["acknowledged"] + found["rejected"] + found["refused"]
    assert 0 < found["rejected"] < found["sent"] / 4, "the malformed ones"
    assert (found["unknown"], found["unseen"]) == (0, 0)
    assert found["accepted"] == found["dashboard"]["count"] == (await stored(connection, "v2")).orders
    assert found["shown"]["count"] == found["accepted"], "the lab's histogram has each order once"
    assert " of 2 s  v2 " in stderr, "live progress"


async def test_conditions_have_an_exit_code_of_their_own(environ: dict[str, str]) -> None:
    few = ("--rate", "20", "--for", "0.5")
    code, report, stderr = await load(environ, *few, "--fail-if", "v2.accepted >= 1", "--require", "v2.unseen < 1")
    assert code in (4, 5), "a machine that is busy may keep the generator from its schedule"
    assert report["unmet"] == ["--fail-if v2.accepted >= 1: 10"]
    assert "coffee: --fail-if v2.accepted >= 1: 10" in stderr
    code, _, _ = await load(environ, *few, "--fail-if", "v2.accepted < 1", "--require", "v2.dashboard.max < 1000s")
    assert code in (0, 5), "a machine that is busy may keep the generator from its schedule"


async def test_without_an_api_it_says_so(environ: dict[str, str]) -> None:
    code, _, stderr = await coffee({**environ, "API_URL": "http://127.0.0.1:9"}, "load", "v2")
    assert code == 3
    assert (
        stderr.strip() == "coffee: http://127.0.0.1:9 does not take orders of v2: `coffee status` tells what runs"
    )


@pytest.mark.parametrize(
    "words",
    [
        ("--rate", "0"),
        ("--repeats", "2"),
        ("--drinks", "mocha=1"),
        ("--drinks", "latte"),
        ("--fail-if", "x"),
        ("v9",),
    ],
)
async def test_what_makes_no_load_is_refused_before_anything_is_sent(words: tuple[str, ...]) -> None:
    code, _, stderr = await coffee({**os.environ}, "load", *words)
    assert code == 2
    assert stderr.startswith("coffee: ")
