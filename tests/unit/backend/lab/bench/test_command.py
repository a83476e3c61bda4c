"""``coffee bench`` where it cannot measure: it says so at once, and leaves no folder behind."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from backend.cli.main import coffee
from coffee_core.errors import ConfigError


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home that does not exist yet."""
    monkeypatch.setenv("COFFEE_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def test_a_report_that_could_not_be_written_is_refused_at_once(home: Path) -> None:
    in_the_way = home.parent / "file"
    in_the_way.touch()
    result = CliRunner().invoke(coffee, ["bench", "--tiny", "--pipelines", "v2", "--out", str(in_the_way / "out")])
    assert result.exit_code == 2, result.output
    assert f"{in_the_way} is no folder" in result.output
    assert not home.exists()


def test_a_bad_setting_leaves_no_folder(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COFFEE_AGGREGATOR_INTERVAL_S", "soon")
    out = home.parent / "out"
    with pytest.raises(ConfigError, match="COFFEE_AGGREGATOR_INTERVAL_S"):
        CliRunner().invoke(
            coffee, ["bench", "--tiny", "--out", str(out)], standalone_mode=False, catch_exceptions=False
        )
    assert not home.exists()
    assert not out.exists()
