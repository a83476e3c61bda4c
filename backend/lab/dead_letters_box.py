"""Lists, requeues or drops the dead letters of a pipeline."""

from collections.abc import Mapping

from backend.lab import dead_letters_v2
from backend.lab.dead_letters import Letter, choose
from backend.lab.servers import Servers, open_servers
from coffee_core.pipelines import Pipeline
from coffee_core.settings import Settings

_FIRST = "somebody else was first"


async def deal_with(
    settings: Settings, pipeline: Pipeline, ids: tuple[str, ...], action: str | None, repairs: Mapping[str, str]
) -> list[tuple[Letter, str]]:
    """Return the chosen letters (all, without ids) and what became of each: '' where they were only listed.

    ``action`` is None, ``requeue`` or ``drop``. Raises LetterError for an id that is not there,
    UnreachableError, and CoffeeError where a server refuses.
    """
    async with open_servers(settings) as servers:
        if pipeline is Pipeline.V2:
            return await _v2(servers, ids, action, repairs)
        return await _v3(servers, ids, action, repairs)


async def _v2(
    servers: Servers, ids: tuple[str, ...], action: str | None, repairs: Mapping[str, str]
) -> list[tuple[Letter, str]]:
    client = servers.client
    done = []
    for letter in choose(await dead_letters_v2.letters(client), ids):
        outcome = ""
        if action == "requeue":
            entry_id = await dead_letters_v2.requeue(client, letter, repairs)
            outcome = _FIRST if entry_id is None else f"requeued as {entry_id}"
        elif action == "drop":
            outcome = "dropped" if await dead_letters_v2.drop(client, letter) else _FIRST
        done.append((letter, outcome))
    return done


async def _v3(
    servers: Servers, ids: tuple[str, ...], action: str | None, repairs: Mapping[str, str]
) -> list[tuple[Letter, str]]:
    # Loaded only where there is a Kafka to ask.
    from backend.lab import dead_letters_v3
    from backend.lab.audit_kafka import open_logs

    client = servers.client
    async with open_logs(servers.settings) as logs:
        chosen = choose(await dead_letters_v3.letters(logs, client), ids)
    if action == "requeue":
        return list(zip(chosen, await dead_letters_v3.requeue(servers, chosen, repairs), strict=True))
    if action == "drop":
        firsts = [await dead_letters_v3.handled(client, letter, "dropped") for letter in chosen]
        return [(letter, "dropped" if ours else _FIRST) for letter, ours in zip(chosen, firsts, strict=True)]
    return [(letter, "") for letter in chosen]
