"""Orders come first: the process of PostgreSQL that scans for the aggregator stands back, where it is here."""

import logging

import asyncpg
import psutil

from backend.daemon import Database, open_postgres

_log = logging.getLogger(__name__)
NICE = 10
"""A tenth of what a process that takes orders gets where both want the same core; alone, all of it."""


async def open_scanner(url: str, statement_timeout_s: float) -> Database:
    """Connect as ``open_postgres`` does, for scans that stand back; raises an error of ``OUTAGES``."""
    connection = await open_postgres(url, statement_timeout_s)
    try:
        row = await connection.fetchrow("select pg_backend_pid(), inet_client_port()")
    except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError):
        connection.terminate()
        raise
    assert row is not None, "a select of two functions has a row"
    stand_back(*row)
    return connection


def stand_back(pid: int, our_port: int | None) -> None:
    """Lower the priority of the process at the other end of the connection from our port, if that is here."""
    try:
        us, server = psutil.Process(), psutil.Process(pid)
        # A server elsewhere, or in a container, has another process under that number here; a pooler's server
        # processes serve others, too.
        direct = our_port in {each.laddr.port for each in us.net_connections("tcp")}
        if direct and our_port in {each.raddr.port for each in server.net_connections("tcp") if each.raddr}:
            server.nice(max(NICE, server.nice()))
    except psutil.Error as error:
        _log.debug("the scan keeps its priority: %s", error)
