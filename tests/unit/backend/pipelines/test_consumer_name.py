import platform
from pathlib import Path

import pytest

from backend.pipelines.consumer_name import consumer_name
from coffee_core.errors import ConfigError


def test_two_workers_on_a_machine_never_share_a_name(tmp_path: Path) -> None:
    with consumer_name(tmp_path, "worker") as first:
        with consumer_name(tmp_path, "worker") as second:
            assert (first, second) == (f"{platform.node()}-1", f"{platform.node()}-2")
        with consumer_name(tmp_path, "worker") as again:
            assert again == second


def test_each_daemon_has_numbers_of_its_own(tmp_path: Path) -> None:
    with consumer_name(tmp_path, "worker") as one, consumer_name(tmp_path, "aggregator") as other:
        assert one == other == f"{platform.node()}-1"


def test_a_name_is_free_again_when_its_worker_ends(tmp_path: Path) -> None:
    with consumer_name(tmp_path, "worker") as first:
        pass
    with consumer_name(tmp_path, "worker") as again:
        assert again == first


def test_a_given_name_is_taken_as_it_is(tmp_path: Path) -> None:
    with consumer_name(tmp_path / "nowhere", "worker", "mine") as name:
        assert name == "mine"
    assert not (tmp_path / "nowhere").exists()


def test_a_home_that_cannot_be_used_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="COFFEE_WORKER_NAME"), consumer_name(tmp_path / "file", "worker"):
        pass
