"""PostgreSQL and Valkey in a folder whose name has what shells, patterns and formats take for their own."""

from pathlib import Path

import pytest
import redis
from redis.exceptions import AuthenticationError

from backend.stack import postgres
from backend.stack import redis as redis_stack
from coffee_core.settings import Settings
from tests.database import connected
from tests.servers import free_port, serving

ODD = "wé l%d #'$;&[x]{}+=😀~!?*|<>(a)@${x},\\:\" "


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LC_ALL", "C")
    return tmp_path / ODD / "h"


async def test_postgres_stands_in_any_folder(home: Path, tmp_path: Path) -> None:
    settings = Settings(home=home, postgres_port=free_port())
    with serving(postgres.part(settings), settings, tmp_path / "log"):
        async with connected(settings.database_url) as connection:
            assert await connection.fetchval("SELECT count(*) FROM orders") == 0


@pytest.mark.parametrize("odd", [ODD, "a[b", "a\\[b", "a\\b"])
def test_valkey_reads_its_password_in_any_folder(tmp_path: Path, odd: str) -> None:
    settings = Settings(home=tmp_path / odd, redis_port=free_port())
    with serving(redis_stack.part(settings), settings, tmp_path / "log"):
        with redis.Redis.from_url(settings.redis_url) as client:
            assert client.config_get("dir")["dir"] == str(settings.home / "redis")
        with redis.Redis(port=settings.redis_port) as stranger, pytest.raises(AuthenticationError):
            stranger.ping()
