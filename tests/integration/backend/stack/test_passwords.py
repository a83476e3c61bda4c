"""The embedded servers let in whoever has their password: also where their data is older than it."""

import re
import stat
from dataclasses import replace
from pathlib import Path

import asyncpg
import psutil
import pytest
from redis.asyncio import Redis
from redis.exceptions import AuthenticationError

from backend.stack import postgres, redis
from backend.stack.probes import redis_answers
from coffee_core.passwords import FOLDER
from coffee_core.settings import Settings
from tests.database import connected
from tests.servers import free_port, serving


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path / "home", postgres_port=free_port(), redis_port=free_port())


def without_password(url: str) -> str:
    return re.sub(r":[^:@/]+@", "@", url)


def without_user(url: str) -> str:
    return re.sub(r"//.*@", "//", url)


async def rows(settings: Settings) -> int:
    async with connected(settings.database_url) as connection:
        return int(await connection.fetchval("SELECT count(*) FROM orders"))


async def test_postgres_asks_for_its_password(postgres_server: str) -> None:
    for url in (without_password(postgres_server), re.sub(r":[^:@/]+@", ":another@", postgres_server)):
        with pytest.raises(asyncpg.InvalidPasswordError):
            await asyncpg.connect(url)
    with pytest.raises(asyncpg.InvalidAuthorizationSpecificationError):
        await asyncpg.connect(without_password(postgres_server).replace("coffee@", "postgres@"))


async def test_redis_asks_for_its_password(redis_server: str) -> None:
    async with Redis.from_url(without_user(redis_server)) as client:
        with pytest.raises(AuthenticationError):
            await client.ping()
    assert await redis_answers(redis_server)
    assert not await redis_answers(re.sub(r":[^:@/]+@", ":another@", redis_server))


async def test_no_argument_and_no_log_tells_a_password(settings: Settings, tmp_path: Path) -> None:
    for part in (postgres.part(settings), redis.part(settings)):
        log = tmp_path / f"{part.name}.log"
        with serving(part, settings, log) as process:
            texts = [log.read_text(), *psutil.Process(process.pid).cmdline()]
        word = (settings.home / FOLDER / part.name).read_text()
        assert not [text for text in texts if word in text]
        for path in settings.home.rglob("*"):
            if path.is_file() and word.encode() in path.read_bytes():
                assert stat.S_IMODE(path.stat().st_mode) == 0o600, path


@pytest.mark.parametrize("before", ["as trust let it be", "with a password that is lost"])
async def test_a_data_folder_that_is_older_than_the_password_is_changed_in_place(
    settings: Settings, tmp_path: Path, before: str
) -> None:
    async def serve() -> tuple[int, str]:
        with serving(postgres.part(settings), settings, tmp_path / "log"):
            return await rows(settings), settings.database_url

    first = await serve()
    (settings.home / FOLDER / "postgres").unlink()
    if "trust" in before:
        (settings.home / "postgres" / "pg_hba.conf").write_text("host all coffee 127.0.0.1/32 trust\n")
    second = await serve()
    assert (first[0], second[0]) == (0, 0)
    assert first[1] != second[1]
    with serving(postgres.part(settings), settings, tmp_path / "log"):
        for url in (without_password(second[1]), first[1]):
            with pytest.raises(asyncpg.InvalidPasswordError):
                await asyncpg.connect(url)


async def test_a_redis_without_a_password_gets_one_and_keeps_its_data(settings: Settings, tmp_path: Path) -> None:
    part, log = redis.part(settings), tmp_path / "log"
    url = without_user(settings.redis_url)

    async def ready() -> bool:
        return await redis_answers(url)

    argv = [argument for argument in part.argv if not argument.endswith(".conf")]
    with serving(replace(part, argv=tuple(argv), ready=ready), settings, log):
        async with Redis.from_url(url) as client:
            await client.set("here", "before")
    with serving(part, settings, log):
        async with Redis.from_url(settings.redis_url) as client:
            assert await client.get("here") == b"before"
