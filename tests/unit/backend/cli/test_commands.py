"""The command line: what it prints, the exit codes it promises, and that it loads no more than it needs."""

import json
import os
import socket
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import ClassVar

import click
import pytest
from click.testing import CliRunner, Result

from backend.cli.main import COMMANDS, coffee, main
from backend.stack import locks
from coffee_core.runstate import PartState, State, write_env, write_state
from tests.servers import free_port


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("COFFEE_HOME", str(tmp_path / "a home"))
    return tmp_path / "a home"


def call(*words: str, typed: str | None = None) -> Result:
    return CliRunner().invoke(coffee, list(words), input=typed, standalone_mode=False)


def leave(monkeypatch: pytest.MonkeyPatch, *words: str) -> object:
    """Return the exit code of the whole program."""
    monkeypatch.setattr(sys, "argv", ["coffee", *words])
    with pytest.raises(SystemExit) as left:
        main()
    return left.value.code


def test_every_command_is_listed_and_there() -> None:
    output = call("--help").output
    for name in COMMANDS:
        assert f"  {name} " in output
        assert isinstance(coffee.get_command(click.Context(coffee), name), click.Command)
    assert "Exit codes" in output


def test_status_lists_the_parts_and_tells_by_its_exit_code(home: Path) -> None:
    assert call("status", "--json").return_value == 3
    write_state(home, PartState("redis", 7, 6_379, State.UP, since_us=1, wrapper_pid=os.getpid()))
    assert call("status").return_value == 0
    write_state(home, PartState("kafka", None, 9_092, State.BACKOFF, "no jars", wrapper_pid=os.getpid()))
    result = call("status", "--json")
    assert result.return_value == 1
    parts = json.loads(result.stdout)
    assert [(part["name"], part["pid"], part["port"], part["state"]) for part in parts] == [
        ("kafka", None, 9_092, "backoff"),
        ("redis", 7, 6_379, "up"),
    ]
    assert "no jars" in call("status").stdout


class _Waiting(BaseHTTPRequestHandler):
    """Says at /readyz that v2 stands still, and takes no orders for v1."""

    def do_GET(self) -> None:
        self.send_response(503)
        self.end_headers()
        standstill = {"reason": "3 orders wait", "cure": "start stream-worker", "since_us": 1}
        pipelines = {
            "v1": {"ready": False, "missing": ["postgres"], "standstill": None},
            "v2": {"ready": True, "missing": [], "standstill": standstill},
        }
        self.wfile.write(json.dumps({"ready": False, "pipelines": pipelines}).encode())

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Say nothing."""


def test_status_names_what_keeps_orders_waiting(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("redis", "stream-worker"):
        write_state(home, PartState(name, 7, None, State.UP, since_us=1, wrapper_pid=os.getpid()))
    with HTTPServer(("127.0.0.1", 0), _Waiting) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        monkeypatch.setenv("API_URL", f"http://127.0.0.1:{server.server_port}")
        monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
        monkeypatch.setenv("COFFEE_PIPELINES", "v1,v2")
        told, as_json = call("status"), call("status", "--json")
        server.shutdown()
    assert told.stdout.splitlines()[-1] == "v2 waits: 3 orders wait – start stream-worker"
    assert (told.return_value, as_json.return_value) == (1, 1)
    standstills = {part["name"]: part["standstill"] for part in json.loads(as_json.stdout)}
    assert standstills == {
        "redis": None,
        "stream-worker": {"pipeline": "v2", "reason": "3 orders wait", "cure": "start stream-worker"},
    }


def test_status_tells_the_parts_where_nobody_answers_for_the_rest(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_state(home, PartState("redis", 7, 6_379, State.UP, since_us=1, wrapper_pid=os.getpid()))
    monkeypatch.setenv("API_URL", f"http://127.0.0.1:{free_port()}")
    monkeypatch.setenv("REDIS_URL", f"redis://127.0.0.1:{free_port()}/0")
    told = call("status")
    assert (told.return_value, len(told.stdout.splitlines())) == (0, 1)


def test_env_prints_what_the_running_stack_has_published(home: Path) -> None:
    assert call("env").return_value == 3
    handle = locks.hold(home, "redis")
    write_env(home, {"API_URL": "http://127.0.0.1:8123", "COFFEE_PIPELINES": "v1"})
    try:
        lines = call("env").stdout.splitlines()
    finally:
        os.close(handle)
    assert lines[0] == "API_URL=http://127.0.0.1:8123"
    assert [line.partition("=")[0] for line in lines] == [
        "API_URL",
        "DATABASE_URL",
        "REDIS_URL",
    ]


def test_down_and_reset_say_so_where_there_is_nothing(home: Path) -> None:
    assert f"nothing runs in {home}" in call("down").stdout
    assert f"nothing to delete in {home}" in call("reset").stdout


def test_reset_keeps_everything_where_the_answer_is_no(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (home / "redis").mkdir(parents=True)
    assert isinstance(call("reset", typed="n\n").exception, click.Abort)
    assert (home / "redis").exists()
    assert call("reset", typed="y\n").exception is None
    assert not (home / "redis").exists()


def test_a_wrong_setting_is_one_line_and_exit_code_2(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert leave(monkeypatch, "up", "--headless", "--pipelines", "v9") == 2
    output = capsys.readouterr().err
    assert "COFFEE_PIPELINES" in output
    assert "'v9' is no pipeline" in output
    assert output.count("\n") == 1


def test_json_of_a_start_is_for_its_timings(monkeypatch: pytest.MonkeyPatch) -> None:
    assert leave(monkeypatch, "up", "--json") == 2


def test_a_working_folder_that_has_gone_is_exit_code_2(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.delenv("COFFEE_HOME", raising=False)
    monkeypatch.chdir(gone)
    gone.rmdir()
    assert leave(monkeypatch, "status") == 2
    assert "must be an absolute path here" in capsys.readouterr().err
    monkeypatch.setenv("COFFEE_HOME", str(tmp_path / "home"))
    assert leave(monkeypatch, "status") == 3, "the rest works from there"


def test_an_unknown_part_is_exit_code_2(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert leave(monkeypatch, "run", "mysql") == 2
    assert "there is no part 'mysql'" in capsys.readouterr().err


def test_up_without_a_terminal_says_what_to_use(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert leave(monkeypatch, "up") == 2
    assert "--headless" in capsys.readouterr().err


class _Api(BaseHTTPRequestHandler):
    """Notes what it gets; takes v1, refuses the rest."""

    seen: ClassVar[list[tuple[str, dict[str, object], str | None]]] = []

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.seen.append((self.path, body, self.headers["Idempotency-Key"]))
        taken = self.path.startswith("/api/v1/")
        self.send_response(201 if taken else 503)
        self.end_headers()
        self.wfile.write(b'{"status":"stored"}' if taken else b'{"title":"Redis does not answer"}')

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Say nothing."""


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[_Api]]:
    _Api.seen.clear()
    with HTTPServer(("127.0.0.1", 0), _Api) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        monkeypatch.setenv("API_URL", f"http://127.0.0.1:{server.server_port}")
        monkeypatch.setenv("COFFEE_PIPELINES", "v1,v2")
        yield _Api
        server.shutdown()


def test_order_sends_what_is_given_and_prints_the_answer(home: Path, api: type[_Api]) -> None:
    key = "018f0000-0000-7000-8000-000000000000"
    sent = call("order", "v1", "--drink", "latte", "--store", "uptown", "--price", "5.00", "--key", key)
    assert (sent.return_value, sent.stdout) == (0, '201 {"status":"stored"}\n')
    path, body, header = api.seen[0]
    assert (path, header) == ("/api/v1/order", key)
    assert {name: body[name] for name in ("drink", "store", "price")} == {
        "drink": "latte",
        "store": "uptown",
        "price": 5.0,
    }


@pytest.mark.parametrize("variable", ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"])
def test_order_sends_nothing_to_a_proxy(
    home: Path, api: type[_Api], monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    monkeypatch.setenv("COFFEE_API_TOKEN", "s3cret")
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with socket.create_server(("127.0.0.1", 0)) as proxy:
        monkeypatch.setenv(variable, f"http://127.0.0.1:{proxy.getsockname()[1]}")
        assert call("order", "v1").return_value == 0
        proxy.setblocking(False)
        with pytest.raises(BlockingIOError):
            proxy.accept()
    assert len(api.seen) == 1


def test_order_sends_nothing_to_where_an_answer_points(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Redirecting(_Api):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(302)
            self.send_header("Location", f"http://127.0.0.1:{elsewhere.getsockname()[1]}/")
            self.end_headers()

    monkeypatch.setenv("COFFEE_API_TOKEN", "s3cret")
    with socket.create_server(("127.0.0.1", 0)) as elsewhere, HTTPServer(("127.0.0.1", 0), Redirecting) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        monkeypatch.setenv("API_URL", f"http://127.0.0.1:{server.server_port}")
        sent = call("order", "v1")
        server.shutdown()
        assert (sent.return_value, sent.stderr.split()[0]) == (1, "302")
        elsewhere.setblocking(False)
        with pytest.raises(BlockingIOError):
            elsewhere.accept()


def test_order_all_goes_into_every_pipeline_and_fails_where_one_refuses(home: Path, api: type[_Api]) -> None:
    sent = call("order", "all")
    assert [path for path, _, _ in api.seen] == ["/api/v1/order", "/api/v2/order"]
    assert sent.return_value == 1
    assert "503" in sent.stderr


def test_order_without_an_api_says_what_to_do(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COFFEE_API_PORT", str(free_port()))
    assert leave(monkeypatch, "order", "v2") == 1
    assert "is the stack up?" in capsys.readouterr().err


def test_doctor_finds_the_programs_and_a_taken_port(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COFFEE_PIPELINES", "v1")
    ports = ("COFFEE_API_PORT", "COFFEE_POSTGRES_PORT", "COFFEE_REDIS_PORT")
    for name in ports:
        monkeypatch.setenv(name, str(free_port()))
    assert call("doctor").return_value == 0
    with socket.create_server(("127.0.0.1", int(os.environ["COFFEE_REDIS_PORT"]))):
        result = call("doctor", "--json")
    assert result.return_value == 1
    bad = [check for check in json.loads(result.stdout) if not check["ok"]]
    assert [check["name"] for check in bad] == [f"port {os.environ['COFFEE_REDIS_PORT']}"]
    assert "COFFEE_REDIS_PORT" in bad[0]["detail"]
