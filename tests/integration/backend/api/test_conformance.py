"""The served document against the API that serves it: schemathesis, every check, real servers."""

import asyncio
import os
import sys
from pathlib import Path

from tests.integration.backend.api.process import running
from tests.waiting import until

FOLDER = Path(__file__).parent


async def test_the_api_does_what_its_document_says(tmp_path: Path, database_url: str, redis_url: str) -> None:
    async with running(tmp_path, DATABASE_URL=database_url, REDIS_URL=redis_url) as api:
        await until(lambda: api.is_ready("v1"))
        await until(lambda: api.is_ready("v2"))
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "schemathesis.cli", "--config-file", str(FOLDER / "schemathesis.toml")),
            *("run", f"{api.base_url}/openapi.json"),
            cwd=tmp_path,
            env={**os.environ, "NO_COLOR": "1", "SCHEMATHESIS_HOOKS": str(FOLDER / "schemathesis_hooks.py")},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        said, _ = await process.communicate()
    assert process.returncode == 0, said.decode()[-10_000:]
