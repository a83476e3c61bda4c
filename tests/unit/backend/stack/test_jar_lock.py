import hashlib
from pathlib import Path

import pytest

from backend.stack.jars import LockedJar, ensure_jars, jar_paths, read_lock, verify, write_lock
from coffee_core.errors import StackError

CONTENT = b"a jar, as far as a hash can tell" * 1_000
JAR = LockedJar("org.example:some-part:1.2.3", len(CONTENT), hashlib.sha256(CONTENT).hexdigest())
LOCK = {"kafka": (JAR,), "connectors": (), "planner": (JAR,)}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / JAR.file_name


def test_the_shipped_lock_names_every_jar_with_size_and_hash() -> None:
    lock = read_lock()
    assert set(lock) == {"kafka", "connectors", "planner"}
    jars = [jar for group in lock.values() for jar in group]
    assert all(jar.bytes > 0 and len(bytes.fromhex(jar.sha256)) == 32 for jar in jars)
    assert len({jar.file_name for jar in jars}) == len(set(jars))
    assert read_lock(write_lock(lock)) == lock


def test_flink_reads_zstd_by_the_jar_with_which_the_broker_writes_it() -> None:
    lock = read_lock()
    (codec,) = set(lock["kafka"]) & set(lock["connectors"])
    assert codec.coordinate.startswith("com.github.luben:zstd-jni:")


def test_the_jar_of_the_lock_passes(path: Path) -> None:
    path.write_bytes(CONTENT)
    verify(JAR, path)


def test_a_truncated_jar_is_refused_by_name(path: Path) -> None:
    path.write_bytes(CONTENT[:-1])
    with pytest.raises(StackError, match=r"org\.example:some-part:1\.2\.3: .* bytes instead of"):
        verify(JAR, path)


def test_a_jar_with_one_other_byte_is_refused_by_name(path: Path) -> None:
    path.write_bytes(b"A" + CONTENT[1:])
    with pytest.raises(StackError, match=r"org\.example:some-part:1\.2\.3: SHA-256 .* the file was refused"):
        verify(JAR, path)


def test_what_is_verified_needs_no_network(path: Path) -> None:
    path.write_bytes(CONTENT)
    nowhere = {"nowhere": "http://127.0.0.1:9"}
    assert ensure_jars(folder=path.parent, lock=LOCK, repositories=nowhere).kafka == (path,)
    assert jar_paths(folder=path.parent, lock=LOCK).planner == path
