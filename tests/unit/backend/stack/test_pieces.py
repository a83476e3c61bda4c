"""The small pieces: backoff, logs, ports, privileges, wiping, the table of parts."""

import errno
import fcntl
import importlib.util
import os
import shutil
import signal
import socket
from dataclasses import fields
from importlib.machinery import ModuleSpec
from pathlib import Path

import psutil
import pytest

from backend.stack import locks, parts, postgres, privileges, process, wrapper
from backend.stack.doctor import checkup
from backend.stack.down import wipe
from backend.stack.log_files import open_log, rotate, text_since
from backend.stack.ports import is_free, require_free
from backend.stack.process import KilledError
from backend.stack.supported_pipelines import supported_pipelines
from backend.stack.topics import topics_of
from backend.stack.wrapper import RestartBackoff
from coffee_core.errors import ConfigError, StackError
from coffee_core.pipelines import PIPELINES, Pipeline
from coffee_core.pipelines.constants import V1, V2, V3, V4
from coffee_core.runstate import State, read_state
from coffee_core.settings import Settings

ROOT = Path(__file__).parents[4]


def test_backoff_doubles_to_its_bound_and_forgets_after_a_steady_time(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr(wrapper.time, "monotonic", lambda: now)
    backoff = RestartBackoff()
    assert [backoff.next_s() for _ in range(9)] == [0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0]
    backoff.note_up()
    now += wrapper.STEADY_S / 2
    assert backoff.next_s() == 5.0
    backoff.note_up()
    now += wrapper.STEADY_S
    assert backoff.next_s() == 0.05


def test_a_part_that_dies_for_one_reason_again_and_again_is_started_seldom(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = 0.0
    monkeypatch.setattr(wrapper.time, "monotonic", lambda: now)
    backoff = RestartBackoff()

    def died(reason: str) -> tuple[int, float]:
        return backoff.note_failure(reason), backoff.next_s()

    assert [died(f"no room (pid {pid})") for pid in range(6)] == [
        *((1, 0.05), (2, 0.1), (3, 5.0), (4, 10.0), (5, 20.0), (6, 30.0))
    ]
    assert died("another reason") == (1, 0.2), "then it is tried as before"
    assert died("") == (0, 0.4), "what was killed from outside has no reason of its own"
    assert [died("no room") for _ in range(3)][-1] == (3, 5.0)
    backoff.note_up()
    now += wrapper.STEADY_S
    assert died("no room") == (1, 0.05)


def test_a_log_that_has_grown_moves_aside_while_it_is_written_to(tmp_path: Path) -> None:
    path = tmp_path / "logs" / "part.log"
    with open_log(path) as log:
        log.write(b"old\n" * 10)
        rotate(path, max_bytes=39)
        log.write(b"new\n")
    assert path.read_bytes() == b"new\n"
    assert path.with_name("part.log.1").read_bytes() == b"old\n" * 10
    assert path.with_name("part.log.1").stat().st_mode & 0o777 == 0o600


def test_where_a_log_cannot_be_moved_aside_it_is_cut_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_room(_source: Path, aside: Path) -> None:
        aside.write_bytes(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(shutil, "copyfile", no_room)
    path = tmp_path / "part.log"
    path.write_bytes(b"old\n" * 10)
    rotate(path, max_bytes=39)
    assert [(file.name, file.stat().st_size) for file in tmp_path.iterdir()] == [("part.log", 0)]


def test_a_state_that_cannot_be_written_is_announced_and_written_later(tmp_path: Path) -> None:
    lines: list[str] = []
    publisher = wrapper.Publisher(tmp_path, "part", None, lambda line, _: lines.append(line))
    (tmp_path / "run").touch()
    publisher.move(State.UP, pid=os.getpid())
    assert len(lines) == 1
    assert lines[0].startswith("its state cannot be written: ")
    (tmp_path / "run").unlink()
    publisher.move(State.UP, pid=os.getpid())
    state = read_state(tmp_path, "part")
    assert state is not None
    assert state.state is State.UP


def test_a_file_system_without_locks_or_permissions_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_locks(_handle: int, _how: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", no_locks)
    with pytest.raises(StackError, match=r"no file can be locked in .* \(No locks available\): set COFFEE_HOME"):
        locks.hold(tmp_path, "redis")
    tmp_path.chmod(0o755)
    with pytest.raises(StackError, match=r"keeps no permissions.*set COFFEE_HOME"):
        postgres.require_private(tmp_path)


def test_an_end_by_a_signal_is_told_by_who_sent_it() -> None:
    def told(number: signal.Signals, reason: str = "", *, for_memory: bool = False) -> tuple[type, str]:
        error = process._killed(number, reason, for_memory=for_memory)
        return type(error), str(error)

    assert told(signal.SIGKILL, "its last line") == (KilledError, "killed by SIGKILL")
    assert told(signal.SIGTERM, for_memory=True) == (KilledError, "killed by SIGTERM")
    assert told(signal.SIGSEGV) == (StackError, "killed by SIGSEGV")
    assert told(signal.SIGABRT, "bad pointer") == (StackError, "killed by SIGABRT: bad pointer")
    kind, text = told(signal.SIGKILL, for_memory=True)
    assert kind is StackError
    assert text.endswith("has run out of memory")


def test_an_account_without_a_name_is_told_what_to_do() -> None:
    assert privileges.account_obstacle(os.getuid()) == ""
    obstacle = privileges.account_obstacle(4_000_000_000)
    assert "(uid 4000000000): add it to /etc/passwd" in obstacle


def test_what_is_read_of_a_log_is_of_this_run(tmp_path: Path) -> None:
    path = tmp_path / "log"
    assert text_since(path) == ""
    path.write_text("earlier\n")
    assert text_since(path, since=path.stat().st_size) == ""
    path.write_text("earlier\nwhy it died\n\n")
    assert text_since(path, since=len("earlier\n")) == "why it died\n\n"
    path.write_text("moved aside, and then this\n")
    assert text_since(path, since=1_000) == "moved aside, and then this\n"


def test_a_taken_port_is_told_with_its_setting() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert not is_free(port)
        with pytest.raises(StackError, match=f"port {port} is taken by .*COFFEE_FLINK_REST_PORT"):
            require_free(Settings(flink_rest_port=port), port)
    require_free(Settings(flink_rest_port=port), port)


@pytest.mark.parametrize("all_are_told", [True, False])
def test_a_port_that_a_connection_has_is_told_with_its_program(
    all_are_told: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not all_are_told:  # as on macOS, where only root is told
        monkeypatch.setattr(psutil, "net_connections", _denied)
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        socket.create_connection(server.getsockname()) as client,
    ):
        port = client.getsockname()[1]
        with pytest.raises(StackError, match=rf"port {port} is taken by .*\(pid {os.getpid()}\): end that"):
            require_free(Settings(redis_port=port), port)


def _denied(_kind: str) -> None:
    raise psutil.AccessDenied


def test_every_port_of_the_stack_is_checked_before_its_part_starts(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    ports = {setting.metadata["env"]: getattr(settings, setting.name) for setting in fields(settings)}
    of_parts = [port for part in parts.stack(settings).parts.values() for port in part.ports]
    del ports["COFFEE_NETWORK_LAB_PORT"]
    assert sorted(of_parts) == sorted(port for name, port in ports.items() if name.endswith("_PORT"))


@pytest.mark.parametrize("one", ["api_port", "kafka_controller_port", "flink_blob_port"])
def test_one_port_for_two_parts_is_refused_with_both_settings(tmp_path: Path, one: str) -> None:
    settings = Settings(home=tmp_path, redis_port=getattr(Settings(home=tmp_path), one))
    name = next(setting.metadata["env"] for setting in fields(settings) if setting.name == one)
    with pytest.raises(
        ConfigError, match=f"{name}.* are both {settings.redis_port}: each needs a port of its own"
    ):
        parts.stack(settings)
    given = Settings(home=tmp_path, redis_port=settings.redis_port, given_redis_url="redis://cache:6379")
    parts.stack(given)


def test_an_address_that_this_machine_has_not_is_told_with_its_setting() -> None:
    for host in ("203.0.113.7", "no such host", "é" * 80):
        with pytest.raises(StackError, match=r"this machine has no address .*COFFEE_HOST"):
            require_free(Settings(host=host), 8005, host)


def test_as_an_ordinary_user_a_server_is_started_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1_000)
    uid, gid = privileges.server_account(tmp_path)
    assert privileges.run_as(("postgres", "-D"), uid, gid) == ("postgres", "-D")


def test_as_root_a_server_runs_as_the_owner_of_its_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(shutil, "which", lambda _name: "/usr/bin/setpriv")
    command = privileges.run_as(("postgres",), 1_234, 1_235)
    assert command[:4] == ("/usr/bin/setpriv", "--reuid=1234", "--regid=1235", "--clear-groups")
    assert command[-1] == "postgres"
    assert "KILL" in command


def test_as_root_without_setpriv_the_error_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(shutil, "which", lambda _name: None)
    with pytest.raises(StackError, match="install setpriv"):
        privileges.run_as(("postgres",), 1_234, 1_235)


def test_reset_leaves_what_is_not_the_stacks(tmp_path: Path) -> None:
    for name in ("postgres", "redis", "my letters"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").touch()
    wipe(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["my letters"]


def test_the_procfile_names_every_part_once() -> None:
    lines = dict(line.split(": ", 1) for line in (ROOT / "Procfile").read_text().splitlines())
    assert lines == {name: f"exec coffee run {name}" for name in parts.NAMES}


def test_the_parts_follow_the_pipelines(tmp_path: Path) -> None:
    def names(*pipelines: Pipeline) -> list[str]:
        return list(parts.stack(Settings(home=tmp_path, pipelines=pipelines)).parts)

    base = ["postgres", "redis", "cafe-order-api"]
    assert names(V1) == [*base, "cafe-order-aggregator"]
    assert names(V1, V2) == [*base, "cafe-order-aggregator", "stream-worker"]
    v4 = [
        "postgres",
        "redis",
        "kafka",
        "cafe-order-api",
        "cafe-order-aggregator",
        "kafka-worker",
        "kafka-aggregator",
    ]
    assert names(V1, V4) == v4, "Kafka without Flink"
    assert names(*PIPELINES) == [name for name in parts.NAMES if name != "network-lab"]
    with_relays = parts.stack(Settings(home=tmp_path, pipelines=PIPELINES, network_lab=True))
    assert list(with_relays.parts) == list(parts.NAMES)
    reconciled = Settings(home=tmp_path, pipelines=(V2,), reconcile_interval_s=60)
    assert list(parts.stack(reconciled).parts) == [*base, "cafe-order-aggregator", "stream-worker"]


def test_a_daemon_waits_for_the_servers_of_its_pipeline(tmp_path: Path) -> None:
    here = parts.stack(Settings(home=tmp_path, pipelines=(V1, V2, V4))).parts
    assert here["kafka-worker"].needs == here["kafka-aggregator"].needs == ("postgres", "redis", "kafka")
    assert here["stream-worker"].needs == here["cafe-order-aggregator"].needs == ("postgres", "redis")


def test_each_pipeline_with_a_topic_has_its_own_and_one_of_dead_letters() -> None:
    def wanted(*pipelines: Pipeline) -> dict[str, int]:
        return topics_of(Settings(pipelines=pipelines, topic_partitions=6))

    assert wanted(V1, V2) == {}
    assert wanted(V1, V4) == {"orders-v4": 6, "orders-v4.dead": 1}
    assert wanted(V3, V4) == {"orders": 6, "orders.dead": 1, "orders-v4": 6, "orders-v4.dead": 1}


@pytest.mark.parametrize("found", [None, ModuleSpec("pyflink", None, is_package=True)])
def test_without_apache_flink_v3_is_left_out_and_it_is_said(
    found: ModuleSpec | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: found)
    settings, missing = supported_pipelines(Settings(home=tmp_path))
    assert settings.pipelines == (V1, V2)
    assert "apache-flink" in missing
    assert missing == (
        "v3 is left out: apache-flink is not installed "
        "(install coffee-rt[lab]; for Linux on arm64 it has no wheel, and ./coffee builds it)"
    )
    alone, _ = supported_pipelines(Settings(home=tmp_path, pipelines=(V3,)))
    assert alone.pipelines == (V1, V2), "where none is left, those run that run where nobody chooses"
    checks = {check.name: check for check in checkup(Settings(home=tmp_path))}
    assert not checks["apache-flink"].ok
    assert checks["apache-flink"].detail.endswith("v1 and v2 alone will run")


def test_given_servers_are_not_started(tmp_path: Path) -> None:
    given = Settings.from_env(
        {
            "COFFEE_HOME": str(tmp_path),
            "COFFEE_PIPELINES": "v1",
            "DATABASE_URL": "postgresql://me@db/coffee",
            "REDIS_URL": "redis://cache:6379",
        }
    )
    here = parts.stack(given).parts
    assert here["postgres"].external
    assert here["redis"].external
    assert not here["cafe-order-api"].external
