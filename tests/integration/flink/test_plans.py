"""The plans of jobs: caught from a client, kept, submitted under new ids. The clients here plan no real job."""

import os
import stat
from pathlib import Path

import pytest

from coffee_core.settings import Settings
from flink.options import PLANNED_JOB_ID
from flink.plans import FakeJobManager, Plans, SubmitError, plan
from flink.rest import FlinkRest

PLANNED = b"\xac\xed" + bytes.fromhex(PLANNED_JOB_ID) + PLANNED_JOB_ID.encode() + b"a job"
CLIENT = """
import os, sys, urllib.request
rest, body = os.environ["FLINK_REST_URL"], open(sys.argv[1], "rb").read()
part = b'--X\\r\\nContent-Disposition: form-data; name="%s"; filename="%s"\\r\\n\\r\\n%s\\r\\n'
form = part % (b"request", b"request.json", b"{}") + part % (b"file_0", b"plan", body) + b"--X--\\r\\n"
headers = {"Content-Type": "multipart/form-data; boundary=X"}
urllib.request.urlopen(urllib.request.Request(rest + "/v1/jobs", form, headers))
assert b"RUNNING" in urllib.request.urlopen(rest + "/v1/jobs/any/status").read()
"""
LISTENING = """
import sys, psutil
from pyflink.table import EnvironmentSettings, TableEnvironment
TableEnvironment.create(EnvironmentSettings.in_streaming_mode())
connections = psutil.Process().net_connections("tcp")
listening = {connection.laddr.ip for connection in connections if connection.status == "LISTEN"}
sys.exit("listens on: " + " ".join(sorted(listening)))
"""


@pytest.fixture
def body(tmp_path: Path) -> Path:
    """A plan in a file."""
    path = tmp_path / "body"
    path.write_bytes(PLANNED)
    return path


async def test_what_a_client_submits_is_caught(body: Path) -> None:
    assert await plan(["-c", CLIENT, str(body)]) == PLANNED


@pytest.mark.parametrize(
    ("script", "reason"),
    [("raise SystemExit('no such table')", "no such table"), ("", "cannot be planned: it ended without a word")],
)
async def test_a_client_that_fails_or_submits_nothing_is_told_with_its_last_words(
    script: str, reason: str
) -> None:
    with pytest.raises(SubmitError, match=reason):
        await plan(["-c", script])


async def test_a_jvm_that_cannot_begin_is_told_by_its_own_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JDK_JAVA_OPTIONS", "-Xmx1m")
    with pytest.raises(SubmitError, match=r"the job cannot be planned: .*Too small maximum heap$") as told:
        await plan(["-c", LISTENING])
    assert "\n" not in str(told.value)


async def test_a_client_listens_on_loopback_alone() -> None:
    with pytest.raises(SubmitError, match=r"listens on: 127\.0\.0\.1$"):
        await plan(["-c", LISTENING])


async def test_a_plan_is_kept_for_its_owner_alone_and_asked_of_a_client_once(
    tmp_path: Path, body: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    plans = Plans(Settings.from_env({"COFFEE_HOME": str(tmp_path / "home")}))
    path = await plans._get("orders", ["-c", CLIENT, str(body)], 0)
    assert path.read_bytes() == PLANNED
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert await plans._get("orders", ["-c", CLIENT, str(body)], 0) == path
    assert caplog.text.count("planning") == 1


async def test_a_job_that_has_changed_is_planned_again_and_the_old_plan_removed(
    tmp_path: Path, body: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plans = Plans(Settings.from_env({"COFFEE_HOME": str(tmp_path / "home")}))
    old = await plans._get("orders", ["-c", CLIENT, str(body)], 0)
    other = await plans._get("warm-1", ["-c", CLIENT, str(body)], 0)
    monkeypatch.setenv("FLINK_HOME", f"{os.environ.get('FLINK_HOME', '')}/other jars")
    new = await plans._get("orders", ["-c", CLIENT, str(body)], 0)
    assert new != old
    assert sorted(new.parent.iterdir()) == sorted([new, other])


async def test_each_submission_has_an_id_of_its_own_and_is_else_as_planned(body: Path) -> None:
    ids = []
    for _ in range(2):
        async with FakeJobManager() as manager:
            rest = FlinkRest(manager.url)
            ids.append(await rest.submit(body))
            await rest.close()
            caught = await manager.plan
        new = bytes.fromhex(ids[-1])
        assert caught == PLANNED.replace(bytes.fromhex(PLANNED_JOB_ID), new).replace(
            PLANNED_JOB_ID.encode(), ids[-1].encode()
        )
        assert new in caught
    assert ids[0] != ids[1]
