"""How far groups are behind the end of a topic, partition by partition."""

from collections.abc import Mapping, Sequence

from backend.clients.kafka import LogEnd
from backend.pipelines.lag import Lag
from coffee_core.errors import UnavailableError
from coffee_core.settings import Settings


class TopicLag:
    """The end of each partition against what each group has committed of it."""

    def __init__(self, settings: Settings, topic: str, groups: Mapping[str, str]) -> None:
        """Take the groups before the topic, each with what is behind the offsets that it commits."""
        self._groups = groups
        self._ends = {group: LogEnd(settings, topic, group) for group in groups}

    async def read(self) -> Sequence[Lag]:
        """Ask Kafka. A partition of which a group has committed nothing waits as a whole."""
        lags = []
        for group, end in self._ends.items():
            state = await end.read()
            if state is None:
                raise UnavailableError("kafka does not tell the ends of the topic")
            members = await end.members()
            for number, (first, last) in sorted(state.bounds.items()):
                waiting = None if state.committed is None else _waiting(first, last, state.committed.get(number))
                # A group without members may be read by somebody who assigns partitions itself, as Flink does.
                consumer = members.get(number, "") if members else None
                lags.append(Lag(group, str(number), consumer, waiting, self._groups[group]))
        return lags

    async def close(self) -> None:
        """Close the clients."""
        for end in self._ends.values():
            await end.close()


def _waiting(first: int, last: int, committed: int | None) -> int | None:
    if committed is not None and committed > last:
        return None  # of a topic that was there before under this name
    return last - max(first, committed or 0)
