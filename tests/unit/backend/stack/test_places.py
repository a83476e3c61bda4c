"""Where the stack stands: folders that work as they are, and folders of which one line says what to do."""

import os
import re
import socket
import sys
from pathlib import Path

import pytest

from backend.stack import places
from backend.stack.kafka import format_storage, keep_identity, write_properties
from backend.stack.places import home_obstacle, java_obstacle, require_home
from backend.stack.ports import require_free
from backend.stack.supported_pipelines import supported_pipelines
from coffee_core.errors import ConfigError, StackError
from coffee_core.origin_check import refusal
from coffee_core.pipelines.constants import V1, V2
from coffee_core.settings import Settings

NAMES = [
    *("é", "a b", "100%", "a#b", "it's", "$HOME", "$(HOME)", "a;b", "a&b", "a?b", "[x]", "{}", "a+b", "a=b", "-x"),
    *("~", "a|b", "<a>", "日本", "x" * 200, "a!b", "(a)", "a*b", "a\u2028b", "a\u0085b"),
]
"""Names of folders below which all of the stack works."""


def _read_properties(text: bytes) -> dict[str, str]:
    """Read the file as java.util.Properties does, as far as it is written here."""
    values = {}
    for line in text.decode("iso-8859-1").split("\n")[:-1]:
        key, _, value = line.partition("=")
        unescaped = re.sub(
            r"\\(?:u([0-9a-f]{4})|(.))", lambda m: chr(int(m[1], 16)) if m[1] else m[2], value.lstrip(" ")
        )
        values[key] = unescaped.encode("utf-16-be", "surrogatepass").decode("utf-16-be")
    return values


@pytest.mark.parametrize("name", [*NAMES, "😀", "a\\b", 'a"b', "a,b", " a", "\n"])
def test_a_properties_file_has_every_path(tmp_path: Path, name: str) -> None:
    write_properties(tmp_path / "file", {"log.dirs": name, "node.id": 1})
    written = (tmp_path / "file").read_bytes()
    assert written.isascii()
    assert _read_properties(written) == {"log.dirs": name, "node.id": "1"}


@pytest.mark.parametrize("name", NAMES)
def test_a_name_that_all_of_the_stack_can_work_with_is_taken(tmp_path: Path, name: str) -> None:
    settings = Settings.from_env({"COFFEE_HOME": str(tmp_path / name)})
    assert java_obstacle(settings) == ""
    assert supported_pipelines(settings) == (settings, "")
    require_home(settings.home)
    assert settings.home.is_dir()


@pytest.mark.parametrize("name", ["a,b", "a:b", "a\\b", 'a"b', "${HOME}", "😀"])
def test_where_java_cannot_work_v3_is_left_out_and_it_is_said(tmp_path: Path, name: str) -> None:
    settings = Settings.from_env({"COFFEE_HOME": str(tmp_path / name)})
    supported, why = supported_pipelines(settings)
    assert supported.pipelines == (V1, V2)
    assert why.startswith("v3 is left out: Kafka and Flink cannot work below a folder with ")
    assert why.endswith(": set COFFEE_HOME to another")
    given = Settings.from_env(
        {
            "COFFEE_HOME": str(tmp_path / name),
            "KAFKA_BOOTSTRAP_SERVERS": "kafka:9092",
            "FLINK_REST_URL": "http://flink:8081",
        }
    )
    assert supported_pipelines(given) == (given, ""), "servers that are given stand elsewhere"


@pytest.mark.parametrize(("name", "what"), [("a:b", "XDG_CACHE_HOME"), ("100%", "XDG_CACHE_HOME"), ("", "")])
def test_a_cache_that_no_class_path_can_name_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, what: str
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / name))
    assert what in java_obstacle(Settings(home=tmp_path))


def test_without_a_home_v3_is_left_out_for_want_of_a_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def nobody(_uid: int) -> None:
        raise KeyError

    for name in ("HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("pwd.getpwuid", nobody)
    _, why = supported_pipelines(Settings(home=tmp_path))
    assert why == "v3 is left out: no place for the cache: set HOME, or XDG_CACHE_HOME to an absolute path"


def test_a_noexec_home_leaves_out_v3(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(places, "_is_noexec", lambda _: True)
    assert "mounted noexec: set COFFEE_HOME" in java_obstacle(Settings(home=tmp_path))


@pytest.mark.parametrize("name", ["a\nb", "a\x1bb", os.fsdecode(b"a\xffb")])
def test_nothing_starts_in_a_home_that_no_line_can_hold(tmp_path: Path, name: str) -> None:
    settings = Settings.from_env({"COFFEE_HOME": f"{tmp_path}/{name}/h"})
    with pytest.raises(StackError, match=r"COFFEE_HOME must be a path of UTF-8 without control characters"):
        require_home(settings.home)
    assert not settings.home.exists()


def test_a_home_of_an_account_that_does_not_exist_is_refused_as_a_setting() -> None:
    with pytest.raises(ConfigError, match=r"COFFEE_HOME .* must be an absolute path here"):
        Settings.from_env({"COFFEE_HOME": "~nobody-at-all/lab"})


def test_a_folder_that_is_gone_is_refused_as_a_setting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    with pytest.raises(ConfigError, match=r"COFFEE_HOME .* must be an absolute path here"):
        Settings.from_env({})


def test_where_nothing_can_be_written_one_line_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for home in (tmp_path / "file", tmp_path / "file" / "home", tmp_path / ("x" * 300)):
        with pytest.raises(StackError, match=r"cannot write into .*: set COFFEE_HOME to a folder of your own"):
            require_home(home)


def test_a_disk_without_room_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(places.shutil, "disk_usage", lambda _: _Usage)
    assert (
        home_obstacle(tmp_path)
        == f"{tmp_path} has 1 MB free, too few: make room, or set COFFEE_HOME to another disk"
    )


class _Usage:
    free = 1_000_000


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:8005"),
        ("127.0.0.2", "http://127.0.0.2:8005"),
        ("localhost", "http://localhost:8005"),
        ("::1", "http://[::1]:8005"),
        ("[::1]", "http://[::1]:8005"),
        ("0:0:0:0:0:0:0:1", "http://[::1]:8005"),
        ("0.0.0.0", "http://127.0.0.1:8005"),
        ("::", "http://[::1]:8005"),
        ("lab.example", "http://lab.example:8005"),
    ],
)
def test_the_apis_url_is_one_that_works(host: str, url: str) -> None:
    settings = Settings.from_env({"COFFEE_HOST": host})
    assert settings.api_url == url
    assert refusal(settings.host, url.removeprefix("http://"), None) == ""


@pytest.mark.parametrize(
    "host", ["a b", "http://x", "127.0.0.1:80", "fe80::1%eth0", "[x]", "é", "-x", "/", "::1]"]
)
def test_what_is_no_address_is_refused_as_a_setting(host: str) -> None:
    with pytest.raises(ConfigError, match=r"COFFEE_HOST .* must be an address such as 127.0.0.1 or ::1"):
        Settings.from_env({"COFFEE_HOST": host})


@pytest.mark.skipif(sys.platform == "darwin", reason="macOS has 127.0.0.1 alone")
def test_another_loopback_address_has_ports_of_its_own() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        require_free(Settings(), port, "127.0.0.2")
        with pytest.raises(StackError, match="is taken"):
            require_free(Settings(), port, "0.0.0.0")


@pytest.mark.parametrize("left", [None, b"", b"\0" * 90])
def test_kafkas_identity_is_put_back_from_its_copy_and_never_made_anew(tmp_path: Path, left: bytes | None) -> None:
    data = tmp_path / "data"
    data.mkdir()
    path = data / "meta.properties"

    def power_cut() -> None:
        path.unlink()
        if left is not None:
            path.write_bytes(left)

    format_storage(data)
    first = path.read_text()
    assert re.fullmatch(r"version=1\ncluster\.id=[\w-]{22}\nnode\.id=1\n", first)
    format_storage(data)
    assert path.read_text() == first
    power_cut()
    format_storage(data)
    assert path.read_text() != first, "nothing was stored there yet"
    (data / "__cluster_metadata-0").mkdir()
    path.write_text(whole := "#\ncluster.id=a\ndirectory.id=b\nnode.id=1\nversion=1\n")
    power_cut()
    with pytest.raises(StackError, match=r"meta.properties is damaged, .*: put it back"):
        format_storage(data)
    path.write_text(whole)
    keep_identity(data)
    power_cut()
    format_storage(data)
    assert path.read_text() == whole
