"""The file system that forgets: what was synced outlives a cut, and nothing else does."""

import mmap
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from backend.lab.power_cut.mount import ForgetfulMount
from backend.stack import redis as redis_stack
from backend.stack.places import fuse_obstacle
from coffee_core.errors import CoffeeError
from coffee_core.passwords import make_password
from coffee_core.runstate import sync_file
from coffee_core.settings import Settings
from tests.servers import free_port, serving

pytestmark = pytest.mark.skipif(bool(fuse_obstacle()), reason=fuse_obstacle() or "FUSE is there")

SECTOR_BYTES = 512


@pytest.fixture
def mount(tmp_path: Path) -> Iterator[ForgetfulMount]:
    with ForgetfulMount(tmp_path) as mounted:
        yield mounted


def write(path: Path, content: bytes) -> None:
    """Write a file and sync it; of its folder nothing is synced."""
    path.write_bytes(content)
    sync_file(path)


def test_what_was_synced_is_there_and_what_was_not_is_gone(mount: ForgetfulMount) -> None:
    file = mount.path / "file"
    write(file, b"a" * 10_000)
    sync_file(mount.path)
    with file.open("r+b") as opened:
        opened.write(b"b" * 4_096)
        opened.seek(0, os.SEEK_END)
        opened.write(b"more")
    assert file.stat().st_size == 10_004
    mount.cut()
    assert file.read_bytes() == b"a" * 10_000


def test_an_append_is_kept_from_the_moment_at_which_it_was_synced(mount: ForgetfulMount) -> None:
    file = mount.path / "log"
    with file.open("ab", buffering=0) as log:
        sync_file(mount.path)
        for number in range(100):
            log.write(b"%09d\n" % number)
            if number == 41:
                os.fsync(log.fileno())
    mount.cut()
    assert file.read_bytes().splitlines()[-1] == b"000000041"


def test_a_file_or_folder_whose_folder_was_not_synced_is_gone(mount: ForgetfulMount) -> None:
    folder = mount.path / "folder"
    folder.mkdir()
    write(folder / "early", b"early")
    sync_file(folder)
    write(folder / "late", b"late")
    sync_file(mount.path)
    (mount.path / "other").mkdir()
    mount.cut()
    assert [path.name for path in mount.path.iterdir()] == ["folder"]
    assert [path.name for path in folder.iterdir()] == ["early"]


def test_a_name_that_was_synced_without_its_content_is_an_empty_file(mount: ForgetfulMount) -> None:
    (mount.path / "file").write_bytes(b"never synced")
    sync_file(mount.path)
    mount.cut()
    assert (mount.path / "file").read_bytes() == b""


@pytest.mark.parametrize("synced", [False, True])
def test_a_rename_or_deletion_counts_once_its_folder_was_synced(mount: ForgetfulMount, synced: bool) -> None:
    write(mount.path / "config", b"old")
    write(mount.path / "doomed", b"doomed")
    sync_file(mount.path)
    write(mount.path / "config.new", b"new")
    (mount.path / "config.new").rename(mount.path / "config")
    (mount.path / "doomed").unlink()
    if synced:
        sync_file(mount.path)
    mount.cut()
    found = {path.name: path.read_bytes() for path in mount.path.iterdir()}
    assert found == ({"config": b"new"} if synced else {"config": b"old", "doomed": b"doomed"})


def test_a_file_made_in_the_place_of_a_deleted_one_has_nothing_of_it(mount: ForgetfulMount) -> None:
    for number in range(20):  # inodes are used again
        write(mount.path / "file", b"%d" % number)
        sync_file(mount.path)
        (mount.path / "file").unlink()
        (mount.path / "file").write_bytes(b"unsynced")
        sync_file(mount.path)
    mount.cut()
    assert (mount.path / "file").read_bytes() == b""


def test_what_was_cut_off_is_cut_off_once_that_was_synced(mount: ForgetfulMount) -> None:
    for name in ("synced", "unsynced"):
        write(mount.path / name, b"x" * 1_000)
        sync_file(mount.path)
        with (mount.path / name).open("r+b") as file:
            file.truncate(10)
            if name == "synced":
                os.fsync(file.fileno())
    mount.cut()
    assert {path.name: path.stat().st_size for path in mount.path.iterdir()} == {"synced": 10, "unsynced": 1_000}


def test_a_mapped_file_is_kept_as_it_was_flushed(mount: ForgetfulMount) -> None:
    path = mount.path / "index"
    with path.open("w+b") as file:
        file.truncate(2 * mmap.PAGESIZE)
        with mmap.mmap(file.fileno(), 2 * mmap.PAGESIZE) as mapped:
            mapped[:5] = b"early"
            mapped.flush()
            mapped[mmap.PAGESIZE : mmap.PAGESIZE + 4] = b"late"
    sync_file(mount.path)
    assert path.read_bytes()[mmap.PAGESIZE :].startswith(b"late")
    mount.cut()
    assert path.read_bytes() == b"early".ljust(2 * mmap.PAGESIZE, b"\0")


def test_permissions_outlive_it(mount: ForgetfulMount) -> None:
    write(mount.path / "private", b"x")
    (mount.path / "private").chmod(0o600)
    sync_file(mount.path)
    mount.cut()
    assert (mount.path / "private").stat().st_mode & 0o777 == 0o600


def test_of_torn_writes_some_sectors_are_there(tmp_path: Path) -> None:
    with ForgetfulMount(tmp_path, seed=7) as mount:
        file = mount.path / "file"
        write(file, b"a" * 100 * SECTOR_BYTES)
        sync_file(mount.path)
        with file.open("r+b") as opened:
            opened.write(b"b" * 100 * SECTOR_BYTES)
        mount.cut()
        content = file.read_bytes()
    sectors = [content[at : at + SECTOR_BYTES] for at in range(0, len(content), SECTOR_BYTES)]
    assert set(sectors) == {b"a" * SECTOR_BYTES, b"b" * SECTOR_BYTES}


def test_a_file_whose_deletion_is_forgotten_is_as_it_was_synced(tmp_path: Path) -> None:
    with ForgetfulMount(tmp_path, seed=7) as mount:
        file = mount.path / "file"
        write(file, b"a" * 10)
        sync_file(mount.path)
        file.write_bytes(b"b" * 10_000)
        file.unlink()
        mount.cut()
        assert file.read_bytes() == b"a" * 10


def test_a_file_system_that_fails_says_why(tmp_path: Path) -> None:
    with ForgetfulMount(tmp_path) as mount:
        (mount.path.parent / "live.left").mkdir()  # is in the way
        with pytest.raises(CoffeeError, match=r"has failed \(exit code 1\): FileExistsError: .*live\.left"):
            mount.cut()


def test_nothing_is_left_of_it(tmp_path: Path) -> None:
    with ForgetfulMount(tmp_path) as mount:
        (mount.path / "file").touch()
    assert list(tmp_path.iterdir()) == []


def test_redis_has_what_it_acknowledged_and_its_password(mount: ForgetfulMount) -> None:
    """Also right after its first start: the folders are synced, too, that no server syncs."""
    home = mount.path / "home"
    settings = Settings(home=home, redis_port=free_port())
    password = make_password(home, "redis")
    for _ in range(2):
        part = redis_stack.part(settings)
        with serving(part, settings, mount.path.parent / "server.log") as server:
            with redis.Redis.from_url(settings.redis_url) as client:
                client.incr("acknowledged")
            server.kill()
            server.wait()
        mount.cut()
        assert make_password(home, "redis") == password
    part = redis_stack.part(settings)
    log = mount.path.parent / "server.log"
    with serving(part, settings, log), redis.Redis.from_url(settings.redis_url) as client:
        assert client.get("acknowledged") == b"2"
