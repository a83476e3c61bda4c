import os
from pathlib import Path

import pytest

from coffee_core.keys import SAVEPOINTS
from coffee_core.settings import Settings
from flink.checkpoint_store import newest_checkpoint, point_restore_link, remove_others, restore_link
from flink.checkpoints import checkpoints_uri, epoch_of

OLD, NEW = "a" * 32, "b" * 32


def checkpoint(folder: Path, job: str, number: int, *, second: int, complete: bool = True) -> Path:
    path = folder / job / f"chk-{number}"
    path.mkdir(parents=True)
    if complete:
        metadata = path / "_metadata"
        metadata.touch()
        os.utime(metadata, (second, second))
    return path


def test_there_is_none_at_first(tmp_path: Path) -> None:
    assert newest_checkpoint(tmp_path / "missing") is None


def test_the_newest_complete_one_counts_whichever_job_made_it(tmp_path: Path) -> None:
    checkpoint(tmp_path, OLD, 900, second=100)
    newest = checkpoint(tmp_path, NEW, 3, second=200)
    checkpoint(tmp_path, NEW, 4, second=0, complete=False)
    assert newest_checkpoint(tmp_path) == newest


def test_within_one_tick_of_the_clock_the_number_decides(tmp_path: Path) -> None:
    checkpoint(tmp_path, NEW, 9, second=100)
    newest = checkpoint(tmp_path, NEW, 10, second=100)
    assert newest_checkpoint(tmp_path) == newest


def test_a_savepoint_counts_where_it_is_the_newest(tmp_path: Path) -> None:
    savepoint = tmp_path / SAVEPOINTS / "savepoint-bbbbbb-0123456789ab" / "_metadata"
    savepoint.parent.mkdir(parents=True)
    savepoint.touch()
    checkpoint(tmp_path, NEW, 9, second=100)
    assert newest_checkpoint(tmp_path) == savepoint.parent
    os.utime(savepoint, (50, 50))
    assert newest_checkpoint(tmp_path) == tmp_path / NEW / "chk-9"
    remove_others(tmp_path, NEW)
    assert savepoint.exists()


def test_a_refused_one_is_passed_over(tmp_path: Path) -> None:
    older = checkpoint(tmp_path, NEW, 1, second=100)
    newest = checkpoint(tmp_path, NEW, 2, second=200)
    assert newest_checkpoint(tmp_path, {newest}) == older
    assert newest_checkpoint(tmp_path, {newest, older}) is None


def test_earlier_jobs_are_removed_once_this_one_has_a_checkpoint_and_nothing_else_is(tmp_path: Path) -> None:
    epoch, earlier = tmp_path / "epoch-2", tmp_path / "epoch-1"
    checkpoint(earlier, OLD, 9, second=50)
    checkpoint(epoch, OLD, 7, second=100)
    (epoch / "notes").mkdir()
    (tmp_path / "notes").mkdir()
    checkpoint(epoch, NEW, 1, second=0, complete=False)
    remove_others(epoch, NEW)
    assert (epoch / OLD).exists()
    assert (earlier / OLD).exists()
    checkpoint(epoch, NEW, 2, second=300)
    remove_others(epoch, NEW)
    assert sorted(path.name for path in epoch.iterdir()) == sorted([NEW, "notes"])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["epoch-2", "notes"]


def test_a_folder_in_the_place_of_the_restore_link_is_replaced(tmp_path: Path) -> None:
    newest = checkpoint(tmp_path, NEW, 3, second=200)
    link = restore_link(tmp_path)
    for path in (link, link.with_suffix(".new")):
        path.mkdir()
        (path / "_metadata").touch()
    point_restore_link(tmp_path, newest)
    assert link.resolve() == newest.resolve()
    assert (newest / "_metadata").exists()


def test_the_restore_link_points_to_what_was_chosen_last_and_is_no_checkpoint_itself(tmp_path: Path) -> None:
    older = checkpoint(tmp_path, OLD, 900, second=100)
    newest = checkpoint(tmp_path, NEW, 3, second=200)
    for chosen in (older, newest):
        point_restore_link(tmp_path, chosen)
        assert restore_link(tmp_path).resolve() == chosen.resolve()
    assert newest_checkpoint(tmp_path, {newest}) == older
    remove_others(tmp_path, NEW)
    assert restore_link(tmp_path).is_symlink()


@pytest.mark.parametrize("root", ["", "s3://coffee/epoch-7"])
@pytest.mark.parametrize("within", ["", f"/{OLD}/chk-3", f"/{SAVEPOINTS}/savepoint-bbbbbb-0123456789ab"])
def test_where_a_checkpoint_lies_tells_its_epoch(root: str, within: str) -> None:
    settings = Settings.from_env({"COFFEE_FLINK_CHECKPOINTS": root})
    assert epoch_of(f"{checkpoints_uri(settings, '12')}{within}") == "12"


def test_a_checkpoint_of_others_has_no_epoch() -> None:
    assert epoch_of("s3://theirs/epochs/chk-3") is None
