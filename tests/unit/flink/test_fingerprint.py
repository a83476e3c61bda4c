from dataclasses import replace
from pathlib import Path

import pytest

from coffee_core.settings import Settings
from flink import plans as module
from flink.plans import fingerprint

SETTINGS = Settings.from_env({"COFFEE_HOME": "/tmp/a folder"})
ARGUMENTS = ["-m", "flink.job", "--epoch", "1"]


@pytest.fixture(autouse=True)
def sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A job of one file, and a configuration of Flink."""
    source = tmp_path / "source.sql"
    source.write_text("SELECT 1")
    (tmp_path / "config.yaml").write_text('rest.port: "1"\n')
    monkeypatch.setattr(module, "_sources", lambda: [source])
    monkeypatch.setenv("FLINK_CONF_DIR", str(tmp_path))
    monkeypatch.setenv("FLINK_HOME", "/somewhere/1111")
    return tmp_path


def test_the_same_job_has_the_same_fingerprint() -> None:
    assert fingerprint(SETTINGS, ARGUMENTS) == fingerprint(replace(SETTINGS), list(ARGUMENTS))


def test_a_setting_an_argument_and_the_jars_change_it(monkeypatch: pytest.MonkeyPatch) -> None:
    found = {fingerprint(SETTINGS, ARGUMENTS)}
    found.add(fingerprint(replace(SETTINGS, flink_parallelism=2), ARGUMENTS))
    found.add(fingerprint(replace(SETTINGS, given_database_url="postgresql://me:secret@there/db"), ARGUMENTS))
    found.add(fingerprint(SETTINGS, [*ARGUMENTS, "--restore", "/somewhere"]))
    monkeypatch.setenv("FLINK_HOME", "/somewhere/2222")
    found.add(fingerprint(SETTINGS, ARGUMENTS))
    assert len(found) == 5


@pytest.mark.parametrize("name", ["source.sql", "config.yaml"])
def test_the_sources_and_flinks_configuration_change_it(sources: Path, name: str) -> None:
    before = fingerprint(SETTINGS, ARGUMENTS)
    with (sources / name).open("a") as file:
        file.write(" ")
    assert fingerprint(SETTINGS, ARGUMENTS) != before


def test_the_sources_are_those_of_the_job_and_of_what_it_imports(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    names = {path.name for path in module._sources()}
    assert {"job.sql", "write_totals.lua", "redis_sink.py", "menu.py"} <= names
