from pathlib import Path

import pytest

from backend.stack.jvm import Archive, _own_classes, java


def test_processes_that_share_an_archive_list_their_classes_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    first, second = (Archive("worker", (java(),), listed_by=name) for name in ("worker-1", "worker-2"))
    assert first.path == second.path
    assert first.class_list != second.class_list
    assert f"-XX:DumpLoadedClassList={first.class_list}" in first.options()


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
