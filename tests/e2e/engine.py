"""What the tests ask of v3's job as its operator."""

import asyncio
import json
import shutil
from pathlib import Path

import aiohttp

from coffee_core.pipelines.constants import V3
from tests.e2e.flink_rest import running_job
from tests.e2e.lab import ROOT, Lab
from tests.e2e.truth import expected_rows, mixed_attempts, post_all, shown_totals, stored_totals
from tests.waiting import until

ORDERS = 200


async def job_id(lab: Lab) -> str:
    """Return the id of the job that runs."""
    async with aiohttp.ClientSession(lab.settings.flink_rest_url, raise_for_status=True) as session:
        return await running_job(session)


async def savepoint(lab: Lab, *options: str) -> Path:
    """Take a savepoint and return its folder."""
    done = await asyncio.to_thread(lab.coffee, "savepoint", "--json", *options, timeout_s=120)
    assert done.returncode == 0, done.stderr
    path = Path(json.loads(done.stdout)["uri"].removeprefix("file:"))
    assert (path / "_metadata").is_file()
    return path


def project_copy(folder: Path) -> Path:
    """Copy what runs in a lab into a folder, to be changed there, and return it."""
    for package in ("coffee_core", "backend", "flink"):
        shutil.copytree(ROOT / package, folder / package, ignore=shutil.ignore_patterns("__pycache__"))
    return folder


def change(path: Path, old: str, new: str) -> None:
    """Change the one place of a file that has this text."""
    text = path.read_text(encoding="utf-8")
    assert text.count(old) == 1
    path.write_text(text.replace(old, new), encoding="utf-8")


def submitter_log(lab: Lab) -> str:
    """Return what the submitter has said."""
    return (lab.home / "logs" / "flink-job.log").read_text(encoding="utf-8")


async def stop_and_go_on(lab: Lab) -> None:
    """Stop the job with a savepoint, and wait until another one runs from there."""
    job = await job_id(lab)
    path = await savepoint(lab, "--stop")
    await until(lambda: f"from checkpoint file://{path}" in submitter_log(lab), within_s=120)

    async def another_runs() -> bool:
        try:
            return await job_id(lab) != job
        except ValueError:  # none for a moment
            return False

    await until(another_runs, within_s=120)


async def post_and_balance(lab: Lab, seed: int) -> None:
    """Post mixed orders; every one is shown and stored once, beside all of those before."""
    before = await shown_totals(lab.settings, V3)
    attempts = mixed_attempts(V3, ORDERS, seed)
    await post_all(lab.settings, V3, attempts)
    wanted = before.orders + len(expected_rows(attempts))

    async def agrees() -> bool:
        shown = await shown_totals(lab.settings, V3)
        return shown.orders >= wanted and shown == await stored_totals(lab.settings, V3)

    await until(agrees, within_s=120)
    assert (await shown_totals(lab.settings, V3)).orders == wanted
    audited = await asyncio.to_thread(lab.coffee, "audit", "--pipelines", "v3")
    assert audited.returncode == 0, audited.stdout
