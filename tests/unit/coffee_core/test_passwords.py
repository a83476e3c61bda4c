"""The passwords of the embedded servers: random, one for all who ask, private, and in no URL that needs none."""

import stat
from pathlib import Path

import pytest

from coffee_core.errors import ConfigError
from coffee_core.passwords import FOLDER, make_password, read_password
from coffee_core.settings import Settings


def test_every_home_and_server_has_its_own(tmp_path: Path) -> None:
    made = [make_password(tmp_path / home, server) for home in "ab" for server in ("postgres", "redis")]
    assert len(set(made)) == 4
    assert made[0] == read_password(tmp_path / "a", "postgres") == make_password(tmp_path / "a", "postgres")


def test_it_is_its_owners_alone(tmp_path: Path) -> None:
    make_password(tmp_path / "home", "redis")
    (file,) = (tmp_path / "home" / FOLDER).iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700


def test_the_urls_of_the_embedded_servers_have_it_once_it_is_made(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    assert settings.database_url == "postgresql://coffee@127.0.0.1:5432/coffee?sslmode=disable"
    assert settings.redis_url == "redis://127.0.0.1:6379/0"
    postgres, redis = make_password(tmp_path, "postgres"), make_password(tmp_path, "redis")
    assert settings.database_url == f"postgresql://coffee:{postgres}@127.0.0.1:5432/coffee?sslmode=disable"
    assert settings.redis_url == f"redis://default:{redis}@127.0.0.1:6379/0"
    assert postgres not in repr(settings)


def test_a_given_server_has_the_password_of_its_url(tmp_path: Path) -> None:
    make_password(tmp_path, "redis")
    settings = Settings(home=tmp_path, given_redis_url="redis://:mine@cache:6379/0")
    assert settings.redis_url == "redis://:mine@cache:6379/0"
    assert "mine" not in repr(settings)


@pytest.mark.parametrize("text", ["", "short", "it's;a-statement-of-its-own", "a-b\nc" * 9, "ü" * 20])
def test_a_file_that_holds_no_password_is_refused_by_name(tmp_path: Path, text: str) -> None:
    (tmp_path / FOLDER).mkdir()
    (tmp_path / FOLDER / "redis").write_text(text, encoding="utf-8")
    for ask in (read_password, make_password):
        with pytest.raises(ConfigError, match=f"{FOLDER}/redis") as refused:
            ask(tmp_path, "redis")
        assert not text or text not in str(refused.value)


def test_a_file_system_without_links_keeps_a_password_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_links(_self: Path, _target: str) -> None:
        raise PermissionError

    monkeypatch.setattr(Path, "hardlink_to", no_links)
    password = make_password(tmp_path, "redis")
    assert make_password(tmp_path, "redis") == read_password(tmp_path, "redis") == password
    assert {path.name for path in (tmp_path / "passwords").iterdir()} == {"redis", ".lock"}
