import os
import struct
import subprocess
import zipfile
from pathlib import Path

import pytest

from backend.stack.jvm import Archive, _own_classes, java, join


def test_processes_that_share_an_archive_list_their_classes_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    first, second = (Archive("worker", (java(),), listed_by=name) for name in ("worker-1", "worker-2"))
    assert first.path == second.path
    assert first.class_list != second.class_list
    assert f"-XX:DumpLoadedClassList={first.class_list}" in first.options()


async def test_an_archive_whose_jars_have_gone_from_where_it_was_made_is_made_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    first, second = (Archive("program", (jar_with_a_class(tmp_path / name),)) for name in ("first", "second"))
    assert first.path == second.path
    await make(first)
    assert f"-XX:SharedArchiveFile={first.path}" in second.options()
    assert is_taken(second)
    first.classpath[0].unlink()
    assert not is_taken(second), "a JVM takes it all the same: nothing of this is needed any more"
    assert f"-XX:DumpLoadedClassList={second.class_list}" in second.options()
    await make(second)
    assert f"-XX:SharedArchiveFile={second.path}" in second.options()
    assert is_taken(second)


def jar_with_a_class(folder: Path) -> Path:
    """Return a jar of always the same size and age, with an empty class One."""
    names = (b"One", b"java/lang/Object")
    pool = b"".join(
        struct.pack(">BHBH", 7, 2 * place + 2, 1, len(name)) + name for place, name in enumerate(names)
    )
    head = struct.pack(">IHHH", 0xCAFEBABE, 0, 52, 2 * len(names) + 1)
    jar = folder / "lib" / "one.jar"
    jar.parent.mkdir(parents=True)
    with zipfile.ZipFile(jar, "w") as written:
        written.writestr("One.class", head + pool + struct.pack(">HHHHHHH", 0x21, 1, 3, 0, 0, 0, 0))
    os.utime(jar, (1_000_000_000, 1_000_000_000))
    return jar


async def make(archive: Archive) -> None:
    """Make an archive as if a program had loaded the class."""
    archive.options()
    archive.class_list.write_text("java/lang/Object id: 0\nOne id: 1\n")
    await archive.make_later(after_s=0)


def is_taken(archive: Archive) -> bool:
    """Tell whether a JVM takes the archive."""
    options = ("-Xshare:on", f"-XX:SharedArchiveFile={archive.path}", "-Xlog:disable")
    command = [java(), *options, "-cp", join(archive.classpath), "-version"]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def test_what_is_dumped_has_no_classes_of_other_loaders_and_no_line_that_is_still_being_written(
    tmp_path: Path,
) -> None:
    listed = tmp_path / "classes"
    text = "java/lang/Object id: 0\nodd/One id: 7 super: 0 source: /tmp/x.jar\njava/lang/Thread id: 1\njava/la"
    listed.write_text(text)
    assert _own_classes(listed).read_text() == "java/lang/Object id: 0\njava/lang/Thread id: 1\n"


def test_the_list_that_a_program_still_writes_is_left_as_it_is(tmp_path: Path) -> None:
    listed = tmp_path / "classes"
    with listed.open("w") as program:
        program.write("java/lang/Object id: 0\n")
        program.flush()
        _own_classes(listed)
        program.write("java/lang/Thread id: 1\n")
    assert listed.read_text() == "java/lang/Object id: 0\njava/lang/Thread id: 1\n"
