"""What an operator asks of the engine while the job runs: savepoints."""

from pathlib import Path

from flink.rest import FlinkRest
from tests.e2e.engine import job_id, post_and_balance, savepoint, stop_and_go_on
from tests.e2e.lab import Lab


async def test_a_savepoint_leaves_the_job_as_it_is(lab: Lab) -> None:
    await post_and_balance(lab, 91)
    job = await job_id(lab)
    path = await savepoint(lab)
    assert await job_id(lab) == job
    rest = FlinkRest(lab.settings.flink_rest_url)
    try:
        # What is noted where no folder can tell: here the folder can confirm it.
        told = await rest.latest_checkpoint(job)
    finally:
        await rest.close()
    assert told is not None
    newest = Path(told.removeprefix("file:"))
    assert newest == path or newest.name.startswith("chk-")


async def test_a_job_that_is_stopped_with_a_savepoint_begins_again_there(lab: Lab) -> None:
    await stop_and_go_on(lab)
    await post_and_balance(lab, 92)
