"""What can be broken of v4 alone: its workers, also while partitions are shared out, its topic, and its replay."""

import asyncio
import os
import signal
import time
from asyncio.subprocess import DEVNULL, Process
from functools import partial

from backend.pipelines.faults import Action, Effect, Fault, NotReadyError, StrikeContext, part_faults
from backend.pipelines.topic.faults import poison_topic, replay_topic
from coffee_core.children import child_environ, python_module
from coffee_core.keys import AGGREGATOR_GROUP, WORKER_GROUP
from coffee_core.parent_death_signal import dies_with_parent
from coffee_core.pipelines.constants import V4
from coffee_core.runstate import read_state
from coffee_core.settings import Settings

_REBALANCING_WITHIN_S = 20.0
_POLL_S = 0.01
_REBALANCING = ("PreparingRebalance", "CompletingRebalance")


async def kill_while_rebalancing(context: StrikeContext) -> Effect:
    """Let a second member join each group, and kill the first while the partitions are shared out anew.

    Raises NotReadyError where a group never shares them out, or has no member.
    """
    members = {WORKER_GROUP: "kafka-worker", AGGREGATOR_GROUP: "kafka-aggregator"}
    services = {service.name: service.module for service in V4.info.services}
    joining = [await _run_another(context.settings, services[name]) for name in members.values()]
    try:
        await asyncio.gather(*(_wait_until_rebalancing(context.settings, group) for group in members))
        context.struck()
        for name in members.values():
            _kill(context.settings, name)
        problem = await context.still_down()
    finally:
        for process in joining:
            if process.returncode is None:
                process.terminate()
            await process.wait()
    return Effect("killed a member of each group while another joined, which has left again", problem=problem)


async def _run_another(settings: Settings, module: str) -> Process:
    own = {"COFFEE_WORKER_NAME": f"chaos-{os.getpid()}", "COFFEE_HOME": str(settings.home)}
    return await asyncio.create_subprocess_exec(
        *python_module(module),
        env=child_environ() | own,
        stdout=DEVNULL,
        stderr=DEVNULL,
        preexec_fn=dies_with_parent(),
    )


async def _wait_until_rebalancing(settings: Settings, group: str) -> None:
    from aiokafka.admin import AIOKafkaAdminClient

    from backend.clients.kafka import kafka_options, naming_kafka

    admin = AIOKafkaAdminClient(**kafka_options(settings))
    give_up_at_s = time.monotonic() + _REBALANCING_WITHIN_S
    with naming_kafka(settings.kafka_servers):
        await admin.start()
        try:
            while True:
                (answer,) = await admin.describe_consumer_groups([group])
                ((_, _, state, _, _, members, *_),) = answer.groups
                # It may take some milliseconds alone, where the first member asks just then.
                if state in _REBALANCING or len(members) > 1:
                    return
                if time.monotonic() > give_up_at_s:
                    raise NotReadyError(f"{group} does not share out its partitions anew: it is {state}")
                await asyncio.sleep(_POLL_S)
        finally:
            await admin.close()


def _kill(settings: Settings, name: str) -> None:
    state = read_state(settings.home, name)
    if state is None or state.pid is None:
        raise NotReadyError(f"{name} does not run now: `coffee status` tells")
    os.kill(state.pid, signal.SIGKILL)


FAULTS = (
    *part_faults(
        "kafka-worker",
        "killed in a transaction: rows and offsets are there together or not at all, so nothing is stored twice",
        "orders are shown and not stored while it hangs; when it wakes it goes on, unless others have meanwhile",
    ),
    *part_faults(
        "kafka-aggregator",
        "killed between Kafka and Redis: the offsets are with the totals, so its successor counts what is missing",
        "orders are stored and not shown while it hangs; a batch that it still holds is refused if others went on",
    ),
    Fault(
        "poison-orders-v4",
        "records straight into v4's topic that can never be stored: both groups must pass over the same ones",
        Action.POISON,
        log=V4,
        strike=partial(poison_topic, V4),
    ),
    Fault(
        "replay-v4",
        "`coffee replay v4` under load: the whole topic from offset 0, and the same numbers at the end",
        Action.REPLAY,
        log=V4,
        strike=partial(replay_topic, V4),
    ),
    Fault(
        "rebalance-v4",
        "a second member joins each group, and the first is killed while the partitions are shared out anew",
        Action.REBALANCE,
        log=V4,
        strike=kill_while_rebalancing,
    ),
)
