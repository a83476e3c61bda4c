"""What a power cut, or the end of a container, leaves of a server's folder, and that it starts there again."""

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import redis

from backend.stack import postgres
from backend.stack import redis as redis_stack
from backend.stack.privileges import run_as, server_account
from coffee_core.errors import StackError
from coffee_core.settings import Settings
from tests.database import connected
from tests.servers import free_port, serving


@contextmanager
def another_program(data: Path) -> Iterator[int]:
    """Run a program of the server's account; yield its pid."""
    program = subprocess.Popen(run_as(("sleep", "600"), *server_account(data)))
    try:
        yield program.pid
    finally:
        program.kill()
        program.wait()


@pytest.mark.parametrize("left", [None, "", "\0\0\0"])
async def test_a_damaged_data_folder_is_said_with_what_to_do(tmp_path: Path, left: str | None) -> None:
    (tmp_path / "postgres").mkdir()
    if left is not None:
        (tmp_path / "postgres" / "PG_VERSION").write_text(left)
    part = postgres.part(Settings(home=tmp_path))
    with pytest.raises(StackError, match=r"is damaged, PG_VERSION .* `coffee reset`"):
        await part.prepare()


async def test_zeros_at_the_end_of_the_append_only_file_are_cut_off(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path, redis_port=free_port())
    part = redis_stack.part(settings)
    settings = Settings(home=tmp_path, redis_port=settings.redis_port)
    with serving(part, settings, tmp_path / "log"), redis.Redis.from_url(settings.redis_url) as client:
        client.set("acknowledged", b"\0" * 5)
    (file,) = (tmp_path / "redis" / "appendonlydir").glob("*.incr.aof")
    whole = file.read_bytes()
    torn = b"*3\r\n$3\r\nSET\r\n$12\r\nacknowledged\r\n$100\r\nnever"
    for tail in (b"\0", b"\0" * 3_000_000, torn + b"\0" * 4_096):
        file.write_bytes(whole + tail)
        with serving(part, settings, tmp_path / "log"), redis.Redis.from_url(settings.redis_url) as client:
            assert client.get("acknowledged") == b"\0" * 5
        assert file.read_bytes() == whole
    assert redis_stack.cut_unsynced(file.parent) == 0
    file.write_bytes(b"\0" * 10)
    assert redis_stack.cut_unsynced(file.parent) == 10
    assert redis_stack.cut_unsynced(tmp_path / "nothing here") == 0


def command(*words: bytes) -> bytes:
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in words)


async def test_a_last_write_with_a_sector_missing_is_cut_off(tmp_path: Path) -> None:
    port = free_port()
    settings = Settings(home=tmp_path, redis_port=port)
    part = redis_stack.part(settings)
    settings = Settings(home=tmp_path, redis_port=port)
    with serving(part, settings, tmp_path / "log"), redis.Redis.from_url(settings.redis_url) as client:
        client.set("acknowledged", b"\0" * 2_000)  # of whole sectors of zeros, and as it must be
        client.set("last", 1)
    (file,) = (tmp_path / "redis" / "appendonlydir").glob("*.incr.aof")
    whole = file.read_bytes()
    assert redis_stack.cut_unsynced(file.parent) == 0
    write = (
        command(b"MULTI") + b"".join(command(b"SET", b"last", b"%d" % n) for n in range(200)) + command(b"EXEC")
    )
    first = -(-len(whole) // 512) * 512
    for sector in (first, first + 512, first + 3 * 512):
        torn = bytearray(whole + write)
        torn[sector : sector + 512] = bytes(512)
        file.write_bytes(torn)
        with serving(part, settings, tmp_path / "log"), redis.Redis.from_url(settings.redis_url) as client:
            assert client.get("acknowledged") == b"\0" * 2_000
            assert client.get("last") == b"1", "of a transaction that is not whole nothing is there"
        assert file.read_bytes() == whole


def test_a_file_that_is_damaged_before_its_last_write_is_left_to_its_owner(tmp_path: Path) -> None:
    (tmp_path / "appendonly.aof.manifest").write_text("file a.incr.aof seq 1 type i\n", encoding="utf-8")
    file = tmp_path / "a.incr.aof"
    damaged = bytes(1_024) + command(b"SET", b"key", b"x" * 1_000_000) * 20 + bytes(512) + command(b"PING")
    file.write_bytes(damaged)
    assert redis_stack.cut_unsynced(tmp_path) == 0
    assert file.read_bytes() == damaged


async def _rows(settings: Settings) -> int:
    async with connected(settings.database_url) as connection:
        rows: int = await connection.fetchval("SELECT count(*) FROM orders")
        return rows


async def test_a_pid_file_whose_pid_belongs_to_another_program_is_not_believed(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path, postgres_port=free_port())
    part = postgres.part(settings)
    data = tmp_path / "postgres"
    pid_file = data / "postmaster.pid"
    with serving(part, settings, tmp_path / "log") as server:
        lines = pid_file.read_text().splitlines()
        assert lines[0] == str(server.pid)
        with pytest.raises(StackError, match=rf"another PostgreSQL runs in .*\(pid {server.pid}\)"):
            await part.prepare()
        assert pid_file.exists()
        # A process of it that does not notice the end of its server.
        pids = [process.pid for process in postgres._processes_in(data)]
        writer = next(pid for pid in pids if pid != server.pid)
        os.kill(writer, signal.SIGSTOP)
        server.kill()
        server.wait()
        with another_program(data) as pid:
            for left in (f"{pid}\n" + "\n".join(lines[1:]) + "\n", "", "\0" * 64):
                pid_file.write_text(left)
                await part.prepare()
                assert not pid_file.exists()
                assert postgres._processes_in(data) == []
            pid_file.write_text(f"{pid}\n" + "\n".join(lines[1:]) + "\n")
            with serving(part, settings, tmp_path / "log"):
                assert await _rows(settings) == 0
