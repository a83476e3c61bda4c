"""What a process counts is there for its neighbours, and after its death."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from backend.clients.counters import NOW, Counters


class Processes:
    """Starts and ends what would each be a process."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.live: list[Counters] = []

    def start(self) -> Counters:
        self.live.append(Counters(self.folder))
        return self.live[-1]

    def end(self, which: Counters) -> None:
        self.live.remove(which)
        which.close()


@pytest.fixture
def processes(tmp_path: Path) -> Iterator[Processes]:
    made = Processes(tmp_path / "run" / "api-8005")
    yield made
    for each in made.live:
        each.close()


def _count(counters: Counters, name: str, by: float = 1) -> None:
    counters.values[counters.place(name)] += by


def test_one_alone_writes_nothing_anywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    counters = Counters()
    _count(counters, "orders", 2)
    _count(counters, "orders")
    assert counters.totals() == {"orders": 3}
    assert list(tmp_path.iterdir()) == []


def test_whoever_is_asked_tells_of_all(processes: Processes) -> None:
    one, two = processes.start(), processes.start()
    _count(one, "orders", 2)
    _count(two, "orders", 3.5)
    _count(two, "refusals")
    assert one.totals() == two.totals() == {"orders": 5.5, "refusals": 1}
    assert one.living().keys() == two.living().keys() == {0, 1}
    assert {each["pid"] for each in one.living().values()} == {os.getpid()}


def test_what_the_dead_have_counted_stays_and_what_they_did_does_not(processes: Processes) -> None:
    one, two = processes.start(), processes.start()
    for each in (one, two):
        _count(each, "orders", 2)
        _count(each, f"{NOW}in flight", 7)
    processes.end(one)
    assert two.totals() == {"orders": 4}
    assert [each["in flight"] for each in two.living().values()] == [7]


def test_a_new_process_goes_on_where_a_dead_one_ended(processes: Processes) -> None:
    one, two = processes.start(), processes.start()
    _count(one, f"{NOW}in flight", 7)
    for _ in range(5):
        _count(one, "orders")
        processes.end(one)
        one = processes.start()
    _count(two, "orders")
    assert one.totals() == two.totals() == {"orders": 6}
    assert [each.get("in flight") for each in two.living().values()] == [0, None]
    assert len(list(processes.folder.glob("*.counts"))) == 2


def test_after_all_have_ended_counting_begins_anew(processes: Processes) -> None:
    for each in [processes.start() for _ in range(3)]:
        _count(each, "orders")
        processes.end(each)
    one = processes.start()
    assert one.totals() == {}
    assert [path.name for path in processes.folder.glob("*.counts")] == ["0.counts"]


def test_the_files_are_their_owners_alone(processes: Processes) -> None:
    processes.start()
    assert stat.S_IMODE(processes.folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in processes.folder.iterdir()} == {0o600}


def test_a_file_that_is_just_being_made_counts_nothing(processes: Processes) -> None:
    one = processes.start()
    (processes.folder / "1.counts").touch(0o600)
    _count(one, "orders")
    assert one.totals() == {"orders": 1}
    assert list(one.living()) == [0]


def test_a_folder_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("no folder")
    with pytest.raises(OSError, match="run"):
        Counters(tmp_path / "run" / "api-8005")
