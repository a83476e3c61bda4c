"""Real servers for the integration tests: one of each a session, a fresh database and an empty Redis a test."""

import gc
import itertools
import os
import signal
from collections.abc import Generator, Iterator, Sequence
from importlib import import_module
from pathlib import Path

import asyncpg
import pytest
import redis

from backend.stack import postgres as postgres_stack
from backend.stack import redis as redis_stack
from coffee_core.settings import Settings
from tests.database import connected
from tests.servers import free_port, run, serving
from tests.waiting import until

_TEMPLATE = "coffee"
_TESTS = Path(__file__).parent
_number = itertools.count(1)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--slow", action="store_true", help="also run what is marked slow: minutes a file")
    parser.addoption(
        "--slow-part",
        metavar="N",
        type=int,
        help="also run one of the files that are marked slow: the Nth, in turn",
    )


@pytest.hookimpl(tryfirst=True)
def pytest_xdist_auto_num_workers() -> int:
    """Return two processes more than processors, at most six: much of the time is waited for a server's restart.

    Of two processors as many processes used 1.4, one more 1.6.
    """
    return min(4, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1) + 2


def pytest_pycollect_makemodule(module_path: Path, parent: pytest.Collector) -> None:
    """Take the same fifty examples in every run; ``--hypothesis-profile default`` draws a hundred new ones.

    A hundred took a fifth of the unit tests' time. A module's tests keep the settings of the moment at which they
    are defined. Hypothesis takes 0.4 s to load: who runs one file without it does not wait for it.
    """
    if parent.config.getoption("--hypothesis-profile") is None and b"hypothesis" in module_path.read_bytes():
        settings = import_module("hypothesis").settings
        settings.register_profile("ours", settings.get_profile("ci"), max_examples=50)
        settings.load_profile("ours")


@pytest.hookimpl(tryfirst=True)  # before xdist looks for the groups
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what is slow, unless it is asked for or its turn; keep in one process what shares a server."""
    for item in items:
        item.add_marker(pytest.mark.xdist_group(_group_of(item)))
    slow = [item for item in items if "slow" in item.keywords]
    files = sorted({item.path for item in slow})
    part = config.getoption("--slow-part")
    chosen = files if config.getoption("--slow") else [] if part is None else [files[part % len(files)]]
    for item in slow:
        if item.path not in chosen:
            item.add_marker(pytest.mark.skip(reason="slow: run with --slow"))


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Look for no garbage while all is loaded (a fifth of that time), nor in it afterwards (0.15 s a scan)."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


def pytest_sessionfinish() -> None:
    """Exempt what is left, too, when the garbage has gone: pytest collects five times more, and so does Python."""
    gc.collect()
    gc.freeze()


def _group_of(item: pytest.Item) -> str:
    """Return the name of what a test runs beside in one process: a lab, a Kafka, or its own file."""
    fixtures: Sequence[str] = getattr(item, "fixturenames", ())
    if "lab" in fixtures:
        return "lab"
    if "broker" in fixtures:
        return str(item.path.relative_to(_TESTS).parts[:3])
    return str(item.path)


@pytest.fixture(scope="session", autouse=True)
def _own_hang_up() -> None:
    """Let what the tests start end with its terminal also under ``nohup``, which would be passed on to it."""
    if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
        signal.signal(signal.SIGHUP, lambda *_: None)  # our own stays; a handler is not passed on


@pytest.fixture(scope="session", autouse=True)
def _own_environment() -> Iterator[None]:
    """Keep the settings of whoever runs the tests out of them, and libpq's variables."""
    given = ("API_URL", "DATABASE_URL", "REDIS_URL", "KAFKA_BOOTSTRAP_SERVERS", "FLINK_REST_URL")
    with pytest.MonkeyPatch.context() as patch:
        for name in list(os.environ):
            if name in given or name.startswith(("COFFEE_", "PG")):
                patch.delenv(name)
        yield


def _settings(folder: Path, port_setting: str) -> Settings:
    return Settings.from_env({"COFFEE_HOME": str(folder), port_setting: str(free_port())})


@pytest.fixture(scope="session")
def postgres_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """URL of the migrated database of a real PostgreSQL; tests take ``database_url`` instead."""
    folder = tmp_path_factory.mktemp("postgres server")
    settings = _settings(folder, "COFFEE_POSTGRES_PORT")
    with serving(postgres_stack.part(settings), settings, folder / "log"):
        yield settings.database_url


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """URL of a real Valkey; tests take ``redis_url`` instead."""
    folder = tmp_path_factory.mktemp("redis server")
    settings = _settings(folder, "COFFEE_REDIS_PORT")
    with serving(redis_stack.part(settings), settings, folder / "log"):
        yield settings.redis_url


@pytest.fixture
def database_url(postgres_server: str) -> Iterator[str]:
    """URL of a database of its own, cloned from the migrated one and dropped afterwards."""
    server, _, _ = postgres_server.rpartition("/")
    name = f"test_{next(_number)}"

    async def admin(statement: str) -> None:
        async with connected(f"{server}/postgres") as connection:
            await connection.execute(statement)

    run(lambda: admin(f"CREATE DATABASE {name} TEMPLATE {_TEMPLATE}"))
    yield f"{server}/{name}"

    async def dropped() -> bool:
        try:
            await admin(f"DROP DATABASE {name} WITH (FORCE)")
        except asyncpg.InsufficientPrivilegeError:
            return False  # an autovacuum worker is in it: it is the server's own, and soon done
        return True

    run(lambda: until(dropped, within_s=60))


@pytest.fixture
def redis_url(redis_server: str) -> str:
    """URL of an empty Redis."""
    with redis.Redis.from_url(redis_server) as client:
        client.flushall()
    return redis_server
