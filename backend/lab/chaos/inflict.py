"""Does what a fault says, and undoes it where it is of a kind that lasts."""

from collections.abc import Awaitable, Callable

from backend.lab.chaos import processes, replays, upsets
from backend.lab.chaos.faults import Deed, Fault
from backend.lab.chaos.scene import Done, Scene
from backend.lab.servers import naming_servers

Do = Callable[[Fault, Scene, float], Awaitable[Done]]
_BY_SIGNAL: dict[Deed, Do] = {
    Deed.KILL: processes.kill,
    Deed.FREEZE: processes.freeze,
    Deed.SLOW: processes.slow,
    Deed.FILL_DISK: processes.fill_disk,
}
_BY_CONNECTION: dict[Deed, Do] = {
    Deed.FILL_MEMORY: upsets.fill_memory,
    Deed.LOCK: upsets.lock,
    Deed.POISON: upsets.poison,
    Deed.STORM: upsets.storm,
    Deed.FLUSH: upsets.flush,
    Deed.REPLAY_PENDING: replays.replay_pending,
    Deed.REPLAY_TOPIC: replays.replay_topic,
}


async def inflict(fault: Fault, scene: Scene, lasts_s: float) -> Done:
    """Inflict a fault; return once it is over and what was broken is up again.

    It waits up to 90 s for it. Raises NotReadyError where what is to be broken is not there, and UnreachableError
    or another CoffeeError where a server is away, or refuses, that must be asked to break something. Cancelled, it
    leaves nothing frozen, limited or locked.
    """
    if fault.deed in _BY_SIGNAL:
        return await _BY_SIGNAL[fault.deed](fault, scene, lasts_s)
    with naming_servers(scene.site.settings):
        return await _BY_CONNECTION[fault.deed](fault, scene, lasts_s)
