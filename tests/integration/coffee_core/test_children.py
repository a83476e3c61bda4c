"""No child gets more of the user's world than the allow-list: not a variable, not a file of the working folder."""

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from backend.stack.spawn import child_env
from coffee_core.children import child_environ, python_module
from coffee_core.pipelines import PIPELINES
from coffee_core.server_urls import PostgresUrl
from coffee_core.settings import Settings
from tests.hostile import HOSTILE

ROOT = Path(__file__).parents[3]
STARTERS = {"create_subprocess_exec", "create_subprocess_shell", "Popen"}
"""Functions that start a program, whatever they are called by."""
OF_MODULES = {
    "subprocess": {"run", "call", "check_call", "check_output", "getoutput", "getstatusoutput"},
    "os": {"system", "popen", "posix_spawn", "posix_spawnp", "execv", "execve", "execvp", "execvpe", "spawnv"},
}
POLICY = ("child_environ(", "child_env(")
OF_THE_POLICY = {
    ("backend/lab/bench/bench_stack.py", "self.environ"),
    ("backend/lab/bench/load_clients.py", "self._environ"),
    ("backend/lab/chaos/whole_stack.py", "self.environ"),  # what is started again has what it had
    ("backend/lab/bench/steps_drain.py", "environ"),  # that of the bench's stack, and more
    ("backend/stack/process.py", "**options"),
    ("backend/stack/up.py", "env"),
}
"""Environments that were made by the policy before they are used, and where."""


def sources() -> Iterator[tuple[str, ast.Module]]:
    for package in ("backend", "coffee_core", "coffee_tui", "flink"):
        for path in sorted((ROOT / package).rglob("*.py")):
            yield str(path.relative_to(ROOT)), ast.parse(path.read_text(encoding="utf-8"))


def starts() -> Iterator[tuple[str, ast.Call]]:
    for path, tree in sources():
        for node in ast.walk(tree):
            match node:
                case ast.Call(func=ast.Attribute(attr=name) | ast.Name(id=name)) if name in STARTERS:
                    yield path, node
                case ast.Call(func=ast.Attribute(value=ast.Name(module), attr=name)):
                    if name in OF_MODULES.get(module, ()):
                        yield path, node


def test_every_child_has_its_environment_from_the_policy() -> None:
    found = list(starts())
    assert len(found) >= 15, "the search finds what there is"
    for path, call in found:
        given = [word for word in call.keywords if word.arg in ("env", None)]
        assert given, f"{path}:{call.lineno} gives its child all of our environment"
        text = ("" if given[0].arg else "**") + ast.unparse(given[0].value)
        assert text.startswith(POLICY) or (path, text) in OF_THE_POLICY, f"{path}:{call.lineno}: {text}"


def test_every_python_child_is_started_without_the_working_folder() -> None:
    modules = 0
    for path, tree in sources():
        for node in ast.walk(tree):
            words = getattr(node, "elts", None) or getattr(node, "args", None)
            if not isinstance(words, list):
                continue
            for before, word in zip([None, *words], words, strict=False):
                if isinstance(word, ast.Constant) and word.value == "-m":
                    modules += 1
                    assert isinstance(before, ast.Constant), f"{path}:{word.lineno}"
                    assert before.value == "-P", f"{path}:{word.lineno}"
            if any(ast.unparse(word) == "sys.executable" for word in words) and isinstance(node, ast.Tuple):
                assert "'-P'" in ast.unparse(node) or path == "flink/plans.py", f"{path}:{node.lineno}"
    assert modules >= 3, "the search finds what there is"


@pytest.fixture
def hostile(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.upper().endswith("_PROXY") or name.startswith("OTEL_"):
            monkeypatch.delenv(name)
    for name, value in HOSTILE.items():
        monkeypatch.setenv(name, value)


@pytest.mark.usefixtures("hostile")
def test_nothing_that_is_for_others_is_passed_on() -> None:
    got = child_environ()
    assert not got.keys() & (HOSTILE.keys() - {"PYTHONPATH", "LC_ALL"})
    assert got.get("PYTHONPATH") in (None, str(ROOT))
    assert (got["LC_ALL"], got["PYTHONUTF8"], got["PYTHONSAFEPATH"]) == ("C.UTF-8", "1", "1")
    assert got["PATH"] == os.environ["PATH"]


def test_what_was_never_heard_of_stays_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOMEBODYS_OPTIONS", "1")
    monkeypatch.setenv("COFFEE_API_TOKEN", "s3cret")
    monkeypatch.setenv("KAFKA_SASL_USERNAME", "barista")
    monkeypatch.setenv("KAFKA_OPTS", "-Xmx1m")
    got = child_environ({"COFFEE_HOME": "/a home"})
    assert "SOMEBODYS_OPTIONS" not in got
    assert "KAFKA_OPTS" not in got
    assert (got["COFFEE_API_TOKEN"], got["KAFKA_SASL_USERNAME"]) == ("s3cret", "barista"), "settings are ours"
    assert got["COFFEE_HOME"] == "/a home"


def test_variables_of_libpq_go_within_a_url_of_ones_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGUSER", "barista")
    monkeypatch.setenv("PGSSLMODE", "require")
    assert "DATABASE_URL" not in child_env(Settings.from_env(), {})
    monkeypatch.setenv("DATABASE_URL", "postgresql://db/coffee")
    got = child_env(Settings.from_env(), {})
    assert not got.keys() & {"PGUSER", "PGSSLMODE"}
    assert got["DATABASE_URL"] == "postgresql://barista@db:5432/coffee?sslmode=require"


@pytest.mark.parametrize("password", ["hush", "p@ss/w:or%d#?&=+ [ü]", "%40"])
def test_a_password_beside_the_url_goes_within_it(monkeypatch: pytest.MonkeyPatch, password: str) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://coffee@db/coffee")
    monkeypatch.setenv("PGPASSWORD", password)
    given = child_environ()
    assert "PGPASSWORD" not in given
    assert Settings.from_env(given).database_url == Settings.from_env().database_url
    assert PostgresUrl.parse(given["DATABASE_URL"]).password == password


def test_a_url_that_cannot_be_used_is_left_to_the_child(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "db/coffee")
    assert child_environ()["DATABASE_URL"] == "db/coffee"


@pytest.mark.usefixtures("hostile")
def test_a_proxy_is_for_what_fetches_from_the_web_and_never_for_loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    fetching = child_environ(downloads=True)
    assert fetching["http_proxy"] == HOSTILE["http_proxy"]
    assert fetching["no_proxy"] == "localhost,127.0.0.1,::1"
    monkeypatch.setenv("NO_PROXY", "intra.example")
    assert child_environ(downloads=True)["no_proxy"] == "intra.example,localhost,127.0.0.1,::1"
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector.example:4318")
    exporting = child_environ()
    assert exporting["http_proxy"] == HOSTILE["http_proxy"], "the collector may lie behind it"
    assert exporting["OTEL_EXPORTER_OTLP_ENDPOINT"] == "http://collector.example:4318"


def test_the_dashboard_has_the_users_language_and_colours(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in {"LANG": "de_DE.UTF-8", "NO_COLOR": "1", "TERM": "foot", "COLUMNS": "10"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("LC_ALL", raising=False)
    got = child_environ(terminal=True)
    assert (got["LANG"], got["NO_COLOR"], got["TERM"]) == ("de_DE.UTF-8", "1", "foot")
    assert not got.keys() & {"COLUMNS", "LC_ALL"}


def test_a_child_imports_nothing_of_the_working_folder(tmp_path: Path) -> None:
    (tmp_path / "backend").mkdir()
    for name in ("backend/__init__.py", "redis.py", "secrets.py", "sitecustomize.py", "usercustomize.py"):
        (tmp_path / name).write_text("raise SystemExit('this is somebody else')", encoding="utf-8")
    done = subprocess.run(
        python_module("backend.cli", "--help"),
        cwd=tmp_path,
        env=child_environ(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "Ways to take an order" in done.stdout


def test_a_child_finds_the_users_pipelines_and_hides_nothing_behind_them(tmp_path: Path) -> None:
    package = tmp_path / "mine"
    package.mkdir()
    (package / "__init__.py").touch()
    text = (ROOT / "tests" / "toy_pipeline" / "declaration.py").read_text(encoding="utf-8")
    (package / "declaration.py").write_text(text, encoding="utf-8")
    (tmp_path / "asyncpg.py").write_text("raise SystemExit('this is somebody else')", encoding="utf-8")
    child = "import asyncpg, coffee_core.pipelines as p; print(*p.PIPELINES)"
    parent = (
        "import subprocess, sys, coffee_core.pipelines; from coffee_core.children import child_environ\n"
        f"subprocess.run([sys.executable, '-P', '-c', {child!r}], env=child_environ(), check=True)"
    )
    done = subprocess.run(
        [sys.executable, "-P", "-c", parent],
        env={**os.environ, "PYTHONPATH": str(tmp_path), "COFFEE_PIPELINE_PACKAGES": "mine"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [*PIPELINES, "toy"]
