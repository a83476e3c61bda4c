"""What a power cut, or the end of a container, leaves of a server's folder, and that it starts there again."""

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import asyncpg
import pytest

from backend.stack import postgres
from backend.stack.privileges import run_as, server_account
from coffee_core.errors import StackError
from coffee_core.settings import Settings
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


async def _rows(settings: Settings) -> int:
    connection = await asyncpg.connect(settings.database_url)
    try:
        rows: int = await connection.fetchval("SELECT count(*) FROM orders")
        return rows
    finally:
        await connection.close()


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
