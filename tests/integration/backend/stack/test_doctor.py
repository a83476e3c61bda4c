"""The doctor asks the programs of this machine, and names what is missing for what, and what to do."""

from pathlib import Path

import pytest

from backend.stack import doctor, postgres
from backend.stack.doctor import checkup
from coffee_core.pipelines.constants import V1, V2
from coffee_core.settings import Settings


def test_the_doctor_knows_of_a_killed_server(tmp_path: Path) -> None:
    (tmp_path / "postgres").mkdir()
    (tmp_path / "postgres" / postgres.PID_FILE).touch()
    checks = {check.name: check for check in checkup(Settings(home=tmp_path, pipelines=(V1,)))}
    assert checks["last stop"].ok
    assert "killed" in checks["last stop"].detail


def test_the_doctor_names_variables_that_are_for_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("JAVA_TOOL_OPTIONS", "_JAVA_OPTIONS", "PGSSLMODE", "PYTHONPATH", "http_proxy"):
        monkeypatch.setenv(name, "-XX:+UseG1GC -XX:+UseZGC")
    checks = {check.name: check for check in checkup(Settings(home=tmp_path))}
    assert all(checks[name].ok for name in ("JAVA…", "PG…", "PYTHON…", "proxies"))
    assert checks["JAVA…"].detail.startswith("JAVA_TOOL_OPTIONS, _JAVA_OPTIONS: ")
    assert "PGSSLMODE" in checks["PG…"].detail
    assert "no part of the lab gets them" in checks["PG…"].detail
    assert checks["Java"].detail.startswith("openjdk version"), "not what Java says of the variables"
    monkeypatch.setenv("DATABASE_URL", "postgresql://db/coffee")
    checks = {check.name: check for check in checkup(Settings(home=tmp_path))}
    assert "they hold for DATABASE_URL" in checks["PG…"].detail


def test_the_doctor_names_variables_that_are_no_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COFFEE_API_PROT", "1")
    monkeypatch.setenv("COFFEE_X", "1")
    monkeypatch.setenv("COFFEE_REDIS_PORT", "6379")
    checks = {check.name: check.detail for check in checkup(Settings(home=tmp_path)) if "COFFEE" in check.name}
    assert checks == {
        "COFFEE_API_PROT": "no setting of that name: did you mean COFFEE_API_PORT?",
        "COFFEE_X": "no setting of that name, see docs/settings.md",
    }


@pytest.mark.parametrize(
    ("ours", "files"),
    [
        (
            "1:cpu:/\n4:memory:/a/b\n0::/\n",
            {
                "memory/a/b/memory.limit_in_bytes": "9223372036854771712",
                "memory/a/b/memory.usage_in_bytes": "1",
                "memory/a/b/memory.stat": "cache 5\ntotal_inactive_file 0\n",
                "memory/a/memory.limit_in_bytes": "700000000",
                "memory/a/memory.usage_in_bytes": "400000000",
                "memory/a/memory.stat": "cache 5\ntotal_inactive_file 100000000\n",
            },
        ),
        (
            "0::/elsewhere/of/the/machine\n",  # a container sees its own group as the root
            {
                "memory.max": "700000000",
                "memory.current": "400000000",
                "memory.stat": "anon 5\ninactive_file 100000000\nactive_file 7\n",
            },
        ),
    ],
)
def test_the_doctor_knows_the_memory_of_a_container(
    ours: str, files: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, text in files.items():
        path = tmp_path / "groups" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (tmp_path / "ours").write_text(ours)
    monkeypatch.setattr(doctor, "_CONTROL_GROUPS", tmp_path / "groups")
    monkeypatch.setattr(doctor, "_OUR_CONTROL_GROUPS", tmp_path / "ours")
    checks = {check.name: check for check in checkup(Settings(home=tmp_path))}
    assert not checks["memory"].ok
    assert checks["memory"].detail == (
        "0.4 GB available (1.5 GB are wanted): end other programs, "
        "or start with --pipelines v1,v2, for which 0.3 GB will do"
    )
    checks = {check.name: check for check in checkup(Settings(home=tmp_path, pipelines=(V1, V2)))}
    assert checks["memory"].ok


def test_the_doctor_asks_only_for_what_the_pipelines_need(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "_FOR_OTHERS", ())  # whoever runs the tests may have a PYTHONPATH
    names = [check.name for check in checkup(Settings(home=tmp_path, pipelines=(V1,)))]
    assert [name for name in names if not name.startswith("port")] == [
        *("python", "account", "disk", "memory", "PostgreSQL", "Redis server", "/dev/fuse")
    ]
    assert "port 9092" not in names
    everything = {check.name for check in checkup(Settings(home=tmp_path))}
    assert {"Java", "apache-flink", "port 9092", "port 9093", "port 8081", "port 6124"} <= everything


def test_a_folder_in_which_java_cannot_work_is_said(tmp_path: Path) -> None:
    checks = checkup(Settings(home=tmp_path / "a:b"))
    assert [check for check in checks if not check.ok and check.detail.endswith(": set COFFEE_HOME to another")]
