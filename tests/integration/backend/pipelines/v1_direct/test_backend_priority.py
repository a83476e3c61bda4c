"""PostgreSQL's backend of the scan runs at a lower priority, where it is certainly that one."""

import asyncio
import os
import sys

import psutil

from backend.clients.daemon import Database
from backend.pipelines.v1_direct.aggregator import NICE, lower_backend_priority, open_scanner


async def _priority(connection: Database) -> int:
    return int(psutil.Process(await connection.fetchval("select pg_backend_pid()")).nice())


async def test_the_backend_that_scans_has_a_lower_priority(database_url: str, connection: Database) -> None:
    usual = await _priority(connection)
    scanner = await open_scanner(database_url, 5)
    try:
        assert await _priority(scanner) == NICE > usual
        assert await _priority(connection) == usual
        assert os.getpriority(os.PRIO_PROCESS, 0) < NICE
    finally:
        await scanner.close()


async def test_a_process_that_only_has_its_number_is_let_alone(connection: Database) -> None:
    pid, port = (await connection.fetch("select pg_backend_pid() as pid, inet_client_port() as port"))[0]
    other = await asyncio.create_subprocess_exec(sys.executable, "-c", "input()", stdin=asyncio.subprocess.PIPE)
    try:
        for number, our_port in ((other.pid, port), (pid, None), (pid, 1), (2**22 + 1, port)):
            lower_backend_priority(number, our_port)
        assert psutil.Process(other.pid).nice() < NICE
        assert await _priority(connection) < NICE
    finally:
        await other.communicate(b"\n")
