"""The user's cache: shared by environments, and without what nobody has used for a month."""

import os
import time
from pathlib import Path

import pytest

from backend.stack import jvm
from backend.stack.cache import UNUSED_S, prune_cache
from backend.stack.jars import LockedJar, ensure_files
from backend.stack.jvm import Archive


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "coffee-rt"


def _write(path: Path, *, days_ago: float = 0.0, text: str = "x") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    at = time.time() - days_ago * 86_400
    os.utime(path, (at, at))
    return path


def test_what_nobody_has_used_for_a_month_goes_and_the_rest_stays(cache: Path) -> None:
    gone = [
        _write(cache / "cds" / "kafka-1.jsa", days_ago=31),
        _write(cache / "cds" / "kafka-1.classlist.kafka-77", days_ago=2),
        _write(cache / "cds" / "kafka-1.4711", days_ago=2),
        _write(cache / "bytecode" / "0a", days_ago=31),
        _write(cache / "jars" / "old-1.jar", days_ago=31),
        _write(cache / "jars" / "b.used", days_ago=31, text="old-1.jar\n"),
    ]
    kept = [
        _write(cache / "cds" / "kafka-2.jsa", days_ago=29),
        _write(cache / "cds" / "kafka-2.classlist.kafka-78"),
        _write(cache / "bytecode" / "0b", days_ago=29),
        _write(cache / "bytecode" / ".lock", days_ago=99),
        _write(cache / "flink" / ".lock", days_ago=99),
        _write(cache / "jars" / "new-1.jar", days_ago=99),
        _write(cache / "jars" / "read-1.jar", days_ago=29),
        _write(cache / "jars" / "a.used", days_ago=29, text="new-1.jar\n"),
        _write(cache / "jars" / "verified.json", days_ago=99),
    ]
    (cache / "flink" / "whole").mkdir(parents=True)
    (cache / "flink" / "whole" / "plugins").symlink_to(cache)
    (cache / "flink" / "broken").mkdir()
    (cache / "flink" / "broken" / "plugins").symlink_to(cache / "an environment that is gone")
    for name in ("whole", "broken"):
        os.utime(cache / "flink" / name, (0, 0))
    for name, at in (("0c", 0.0), ("0d", time.time())):
        _write(cache / "peers" / name / "bin" / "python")
        os.utime(cache / "peers" / name, (at, at))
    assert prune_cache() == len("x") * 5 + len("old-1.jar\n")
    assert [path for path in gone if path.exists()] == []
    assert [path for path in kept if not path.exists()] == []
    assert {path.name for path in (cache / "flink").iterdir()} == {".lock", "whole"}
    assert [path.name for path in (cache / "peers").iterdir()] == ["0d"]


def test_it_is_looked_through_once_a_day(cache: Path) -> None:
    prune_cache()
    old = _write(cache / "cds" / "kafka-1.jsa", days_ago=31)
    assert prune_cache() == 0
    assert old.exists()
    os.utime(cache / "pruned", (0, 0))
    assert prune_cache() == 1


def test_an_archive_that_is_used_is_kept_and_shared_by_environments_with_the_same_files(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def environment(name: str) -> Archive:
        home = cache.parent / name
        _write(home / "java" / "lib" / "modules", days_ago=50)
        jar = _write(home / "flink" / "lib" / "a.jar", days_ago=50)
        monkeypatch.setattr(jvm, "java", lambda: home / "java" / "bin" / "java")
        return Archive("worker", (jar,))

    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now)
    maker, second = environment("one"), environment("two")
    first = maker.path
    assert second.path == first
    _write(first, days_ago=31)
    _write(first.with_suffix(".classpath"), days_ago=31, text=jvm.join(maker.classpath))
    assert f"-XX:SharedArchiveFile={first}" in second.options()
    prune_cache()
    assert first.exists()
    assert first.with_suffix(".classpath").exists()
    _write(second.classpath[0], days_ago=1)
    assert second.path != first, "another jar is another archive"


def test_jars_are_noted_as_used(tmp_path: Path) -> None:
    jar = _write(tmp_path / "a-1.jar", text="content")
    digest = "ed7002b439e9ac845f22357d822bac1444730fbdb6016d3ec9432297b9ec9f73"
    locked = LockedJar("group:a:1", len("content"), digest)
    ensure_files([locked], tmp_path)
    (used,) = tmp_path.glob("*.used")
    assert used.read_text() == f"{jar.name}\n"
    os.utime(used, (0, 0))
    ensure_files([locked], tmp_path)
    assert time.time() - used.stat().st_mtime < UNUSED_S
