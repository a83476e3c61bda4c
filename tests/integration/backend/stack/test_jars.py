"""Fetching from a real HTTP server that has the layout of a Maven repository."""

import functools
import hashlib
import http.server
import json
import os
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

import pytest
import trustme

from backend.stack.jars import JarPaths, LockedJar, ensure_jars
from coffee_core.errors import StackError

CONTENTS = {"one": b"1" * 300_000, "two": b"2" * 200_000, "three": b"3" * 100}


def locked(name: str) -> LockedJar:
    content = CONTENTS[name]
    return LockedJar(f"org.example:{name}:1.0", len(content), hashlib.sha256(content).hexdigest())


LOCK = {"kafka": (locked("one"), locked("two")), "connectors": (), "planner": (locked("three"),)}


@dataclass
class Repository:
    folder: Path
    url: str = ""
    asked: list[str] = field(default_factory=list)
    cut_short: set[str] = field(default_factory=set)

    def put(self, name: str, content: bytes) -> None:
        place = self.folder / f"org/example/{name}/1.0/{name}-1.0.jar"
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content)

    def fetch(self, folder: Path, progress: list[tuple[int, int]] | None = None) -> JarPaths:
        progress = [] if progress is None else progress
        return ensure_jars(
            lambda done, total: progress.append((done, total)),
            folder=folder,
            lock=LOCK,
            repositories={"local": self.url},
        )


class Handler(http.server.SimpleHTTPRequestHandler):
    def __init__(self, *given: object, repository: Repository) -> None:
        self.repository = repository
        super().__init__(*given, directory=str(repository.folder))  # type: ignore[arg-type]

    def do_GET(self) -> None:
        name = self.path.rpartition("/")[2]
        self.repository.asked.append(name)
        if name in self.repository.cut_short:
            self.repository.cut_short.remove(name)
            content = Path(self.translate_path(self.path)).read_bytes()
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content[: len(content) // 2])
            self.close_connection = True
            return
        super().do_GET()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def serving(folder: Path, context: ssl.SSLContext | None = None) -> Iterator[Repository]:
    repository = Repository(folder)
    for name, content in CONTENTS.items():
        repository.put(name, content)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, repository=repository))
    if context is not None:
        server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    repository.url = f"{'http' if context is None else 'https'}://127.0.0.1:{server.server_port}"
    yield repository
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def repository(tmp_path: Path) -> Iterator[Repository]:
    with serving(tmp_path / "repository") as repository:
        yield repository


def jars(repository: Repository) -> list[str]:
    return [name for name in repository.asked if name.endswith(".jar")]


def test_all_jars_are_fetched_once_and_the_bar_ends_at_its_total(repository: Repository, tmp_path: Path) -> None:
    progress: list[tuple[int, int]] = []
    paths = repository.fetch(tmp_path / "a cache", progress)
    assert [path.read_bytes() for path in (*paths.kafka, paths.planner)] == list(CONTENTS.values())
    total = sum(map(len, CONTENTS.values()))
    assert progress[-1] == (total, total)
    assert sorted(jars(repository)) == ["one-1.0.jar", "three-1.0.jar", "two-1.0.jar"]

    repository.asked.clear()
    assert repository.fetch(tmp_path / "a cache", progress) == paths
    assert repository.asked == []
    assert not list((tmp_path / "a cache").glob("partial-*"))


def test_a_download_that_breaks_off_is_made_again(repository: Repository, tmp_path: Path) -> None:
    repository.cut_short.add("one-1.0.jar")
    progress: list[tuple[int, int]] = []
    paths = repository.fetch(tmp_path / "cache", progress)
    assert paths.kafka[0].read_bytes() == CONTENTS["one"]
    assert jars(repository).count("one-1.0.jar") == 2
    total = sum(map(len, CONTENTS.values()))
    assert progress[-1] == (total, total)


def test_another_jar_than_the_locked_one_is_refused_and_not_kept(repository: Repository, tmp_path: Path) -> None:
    repository.put("two", b"x" * len(CONTENTS["two"]))
    with pytest.raises(StackError, match=r"org\.example:two:1\.0: SHA-256"):
        repository.fetch(tmp_path / "cache")
    assert not (tmp_path / "cache" / "two-1.0.jar").exists()
    assert jars(repository).count("two-1.0.jar") == 1


@pytest.mark.parametrize("spoiled", [b"1" * 299_999, b"2" * 300_000, b""])
def test_a_jar_that_was_spoiled_in_the_cache_is_fetched_again(
    repository: Repository, tmp_path: Path, spoiled: bytes
) -> None:
    path = repository.fetch(tmp_path / "cache").kafka[0]
    path.write_bytes(spoiled)
    repository.asked.clear()
    repository.fetch(tmp_path / "cache")
    assert path.read_bytes() == CONTENTS["one"]
    assert jars(repository) == ["one-1.0.jar"]


def test_two_who_fetch_at_once_fetch_each_jar_once(repository: Repository, tmp_path: Path) -> None:
    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(repository.fetch, [tmp_path / "cache"] * 2)
    assert first == second
    assert len(jars(repository)) == 3


# In a process of its own: OpenSSL reads the variable once.
FETCH = """
import json, ssl, sys
from pathlib import Path
from backend.stack.jars import LockedJar, ensure_files
url, folder, jar = sys.argv[1:]
own = ssl.SSLContext
ensure_files([LockedJar(**json.loads(jar))], Path(folder), repositories={"local": url})
assert ssl.SSLContext is own
"""


def test_the_authorities_that_the_system_trusts_are_trusted(tmp_path: Path) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "authority.pem")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    environ = {
        name: value for name, value in os.environ.items() if name not in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
    }
    with serving(tmp_path / "repository", context) as repository:
        jar = json.dumps(asdict(locked("three")))
        command = [sys.executable, "-c", FETCH, repository.url, str(tmp_path / "cache"), jar]
        trusting = {**environ, "SSL_CERT_FILE": str(tmp_path / "authority.pem")}
        subprocess.run(command, env=trusting, check=True)
    assert (tmp_path / "cache" / "three-1.0.jar").read_bytes() == CONTENTS["three"]
