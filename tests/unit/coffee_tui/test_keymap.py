"""The file of keys: what it says is bound, and what cannot be is said with its name."""

import tomllib
from pathlib import Path

import pytest

from coffee_core.errors import ConfigError
from coffee_tui.app import screens
from coffee_tui.keymap import keymap_lines, read_keymap, shown


def _read(folder: Path, text: str) -> dict[str, str]:
    path = folder / "keys.toml"
    path.write_text(text)
    return read_keymap(path, screens())


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('brew = "x"', "brew is no action"),
        ('load = "f55"', "load = 'f55': 'f55' is no key"),
        ('load = "hyper+x"', "load = 'hyper.x': 'hyper.x' is no key"),
        ('load = "f5,"', "load = 'f5,': '' is no key"),
        ("load = 3", "load = 3: must be a key in quotes"),
        ('load = ""', "load = '': must be a key in quotes"),
        ('load = "ctrl+c"', "ctrl\\+c always ends the dashboard"),
        ('load = "x"', "x would do two things on the page live: load and faults"),
        ('load = "f5"\nburst = "f5"', "f5 would do two things on the page live: load and burst"),
        ('copy = "f"', "f would do two things on the page logs: logs-follow and copy"),
        ('copy = "?"', r"\? would do two things on the page live: copy and help"),
        ("load = ", "is no TOML"),
        ("[load]", "load = {}: must be a key in quotes"),
    ],
)
def test_what_cannot_be_bound_is_said(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said) as raised:
        _read(tmp_path, text)
    assert str(raised.value).startswith(f"{tmp_path / 'keys.toml'}")
    assert "\n" not in str(raised.value)


def test_a_file_that_is_absent_changes_nothing(tmp_path: Path) -> None:
    assert read_keymap(tmp_path / "keys.toml", screens()) == {}


def test_two_actions_may_change_places(tmp_path: Path) -> None:
    assert _read(tmp_path, 'faults = "b"\nburst = "x"') == {"faults": "b", "burst": "x"}


def test_the_list_is_a_file_that_changes_nothing(tmp_path: Path) -> None:
    text = "\n".join(keymap_lines(screens(), {}))
    assert _read(tmp_path, text) == tomllib.loads(text)
    assert "\n".join(keymap_lines(screens(), tomllib.loads(text))) == text


def test_every_key_of_every_screen_has_a_name_of_its_own() -> None:
    names: dict[str | None, tuple[str, str]] = {}
    for page, bindings in screens().items():
        assert all(binding.id for binding in bindings), page
        for binding in bindings:
            assert names.setdefault(binding.id, (binding.key, binding.action)) == (binding.key, binding.action)


@pytest.mark.parametrize(
    ("keys", "written"), [("ctrl+k", "^k"), ("f5,q", "f5"), ("question_mark", "?"), ("T", "T"), ("alt+x", "alt+x")]
)
def test_a_key_is_written_as_people_write_it(keys: str, written: str) -> None:
    assert shown(keys) == written
