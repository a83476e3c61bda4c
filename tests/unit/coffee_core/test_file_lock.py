"""One holder at a time, until its descriptor is closed."""

import os
from pathlib import Path
from threading import Thread

from coffee_core.file_lock import file_lock, lock_file, open_lock_file, try_lock


def test_the_lock_of_a_file_has_one_holder(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    handle = lock_file(path)
    assert handle is not None
    assert lock_file(path) is None
    os.close(handle)
    again = lock_file(path)
    assert again is not None
    os.close(again)


def test_a_shared_lock_tells_whether_somebody_holds_the_file(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    asking = open_lock_file(path)
    assert try_lock(asking, shared=True)
    os.close(asking)
    with file_lock(path):
        asking = open_lock_file(path)
        assert not try_lock(asking, shared=True)
        os.close(asking)


def test_who_comes_second_waits(tmp_path: Path) -> None:
    path, order = tmp_path / "lock", []

    def second() -> None:
        with file_lock(path):
            order.append("second")

    with file_lock(path):
        thread = Thread(target=second)
        thread.start()
        thread.join(0.1)
        order.append("first")
    thread.join()
    assert order == ["first", "second"]
