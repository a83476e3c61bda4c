"""Passwords and the token: in no log, no answer and no process arguments, also where they are wrong."""

from pathlib import Path
from urllib.parse import urlsplit

import psutil

from tests.integration.backend.api.process import running
from tests.integration.daemons import daemon, log_of
from tests.servers import free_port
from tests.waiting import until

SECRET = "hush-hush"


async def test_no_secret_is_told(tmp_path: Path, redis_url: str, database_url: str) -> None:
    wrong = {
        # One server wants another password, and nobody listens at the other address.
        "REDIS_URL": f"redis://:{SECRET}@127.0.0.1:{urlsplit(redis_url).port}/0",
        "DATABASE_URL": f"postgresql://coffee:{SECRET}@127.0.0.1:{free_port()}/coffee",
    }
    told = {"COFFEE_API_TOKEN": SECRET, "COFFEE_LOG_LEVEL": "debug", "COFFEE_PIPELINES": "v1,v2"}
    async with running(tmp_path, **told, **wrong) as api:

        async def refused() -> bool:
            down = (await api.get("/readyz"))[1]["dependencies"].values()
            return all(each["detail"] not in ("", "not connected yet") for each in down)

        await until(refused)
        said = [str(await api.get("/readyz"))]
        for pipeline in ("v1", "v2"):
            said.append(str(await api.order(pipeline, headers={"Authorization": f"Bearer {SECRET}"})))
            said.append(str(await api.order(pipeline, headers={"Authorization": f"Bearer {SECRET}s"})))
        said += psutil.Process(api.process.pid).cmdline()
    said.append((tmp_path / "api.log").read_text())
    urls = (wrong["DATABASE_URL"], wrong["REDIS_URL"])
    async with daemon("backend.pipelines.v2_streams.worker", tmp_path / "worker", *urls) as worker:
        await until(lambda: "retrying" in log_of(tmp_path / "worker"), 30)
        said += psutil.Process(worker.pid).cmdline()
    said.append(log_of(tmp_path / "worker"))
    assert "redis is down" in "".join(said)
    assert not [each for each in said if SECRET in each]
