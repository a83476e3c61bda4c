"""A lost JobManager's job is submitted again from its plan, without a client; a broken plan is made again."""

import os
import signal
from pathlib import Path

import aiohttp

from coffee_core.pipelines.constants import V3
from coffee_core.runstate import NEXT_START_PLANNED, STANDBY_WARM, State
from tests.e2e.flink_rest import running_job
from tests.e2e.lab import Lab
from tests.e2e.truth import expected_rows, in_step, mixed_attempts, post_all
from tests.waiting import until

WITHIN_S = 120
ORDERS = 300


async def job_of(lab: Lab) -> str:
    async with aiohttp.ClientSession(lab.settings.flink_rest_url, raise_for_status=True) as session:
        return await running_job(session)


async def restored_plan(lab: Lab) -> Path:
    """Wait until both TaskManagers are warm and the job is planned ahead; return the plan of its next start."""

    def warm() -> bool:
        parts = lab.parts()
        details = sorted(part.detail for name, part in parts.items() if "taskmanager" in name)
        planned = parts["flink-job"].detail == NEXT_START_PLANNED
        up = all(part.state is State.UP for part in parts.values())
        return planned and up and details == [STANDBY_WARM, "works"]

    await until(warm, within_s=WITHIN_S)
    (plan,) = (lab.home / "flink" / "plans").glob("restored-*.plan")
    return plan


async def lose_the_jobmanager(lab: Lab, seed: int) -> str:
    """Kill it between orders and orders, wait until all are stored and shown, return what the submitter said."""
    log = lab.home / "logs" / "flink-job.log"
    first, second = (mixed_attempts(V3, ORDERS, seed=seed + each) for each in (0, 1))
    orders = (await in_step(lab, 0)).orders
    before, length = await job_of(lab), log.stat().st_size

    async def runs_again() -> bool:
        try:
            job = await job_of(lab)
        except (aiohttp.ClientError, ValueError):  # no JobManager, or no job, yet
            return False
        return job != before

    await post_all(lab.settings, V3, first)
    os.kill(lab.pid_of("flink-jobmanager"), signal.SIGKILL)
    await post_all(lab.settings, V3, second)
    await until(runs_again, within_s=WITHIN_S)
    await in_step(lab, orders + len(expected_rows(first)) + len(expected_rows(second)))
    return log.read_text()[length:]


async def test_the_job_of_a_lost_jobmanager_needs_no_client_to_come_back(lab: Lab) -> None:
    await restored_plan(lab)
    said = await lose_the_jobmanager(lab, seed=611)
    assert "from checkpoint" in said
    assert "planning" not in said


async def test_a_plan_that_flink_cannot_read_is_made_again(lab: Lab) -> None:
    plan = await restored_plan(lab)
    plan.write_bytes(plan.read_bytes()[:5_000])
    said = await lose_the_jobmanager(lab, seed=613)
    assert "Flink refused the job" in said
    assert "planning: flink.job --epoch" in said
    assert plan.exists()
