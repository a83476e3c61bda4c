"""What can be broken of v3 alone: Kafka and Flink, its topic, and its replay of the whole topic."""

from contextlib import suppress
from functools import partial

from backend.pipelines.faults import (
    Action,
    Fault,
    NotReadyError,
    part_faults,
    refused_without,
)
from backend.pipelines.topic.faults import poison_topic, replay_topic
from coffee_core.pipelines.constants import V3
from coffee_core.settings import Settings

TASK_MANAGER = "flink-taskmanager"
"""Stands for whichever TaskManager runs the job when the fault strikes."""
_FLINK_TIMEOUT_S = 1.0


async def working_task_manager(settings: Settings) -> str:
    """Return the name of the TaskManager that runs the job. Raises NotReadyError where none does."""
    from flink.rest import FlinkRest, FlinkUnavailableError  # not loaded where no Flink runs

    # A JobManager that does not answer runs no job either, as far as we can know.
    with suppress(FlinkUnavailableError):
        async with FlinkRest(settings.flink_rest_url, _FLINK_TIMEOUT_S) as flink:
            for job in await flink.jobs():
                if job.state == "RUNNING" and (names := await flink.task_managers_of(job)):
                    return names[0]
    raise NotReadyError("no TaskManager runs the job now: `coffee status` tells")


LOCATORS = {TASK_MANAGER: working_task_manager}
FAULTS = (
    *part_faults(
        "kafka",
        "acks=all: what was acknowledged is on disk; the producer and Flink find the broker again by themselves",
        "a broker that hangs: sends run into their timeout, and a send without an answer may still have arrived",
        "the broker gives up its only log folder and halts; it comes back with all that it acknowledged",
        may_refuse=refused_without("kafka"),
    ),
    *part_faults(
        "flink-jobmanager",
        "the job is lost and submitted again from its newest checkpoint; no order counts twice",
        "the JobManager leaves the data path alone: orders flow on for as long as heartbeats are forgiven",
    ),
    *part_faults(
        TASK_MANAGER,
        "the warm spare takes over from the checkpoint, reads again what came after it, counts nothing twice",
        "a TaskManager that hangs, is given up, and wakes as a second writer: the fence must refuse it",
        "no checkpoint can be written, in the end no state: the job stands still, and goes on from the last one",
    ),
    *part_faults(
        "flink-job",
        "the submitter is no part of the data path: its successor adopts the running job",
        "nothing is to be seen in the numbers; while it hangs, a lost job would not be submitted again",
    ),
    Fault(
        "poison-topic",
        "records straight into the topic that can never be stored: the job must not loop over them",
        Action.POISON,
        log=V3,
        strike=partial(poison_topic, V3),
    ),
    Fault(
        "replay-v3",
        "`coffee replay v3` under load: the whole topic into empty state, and the same numbers at the end",
        Action.REPLAY,
        log=V3,
        strike=partial(replay_topic, V3),
    ),
)
