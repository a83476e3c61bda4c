"""How far the readers of a log are behind its end, by partition and by consumer."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Lag:
    """What one reader has yet to finish of one partition."""

    group: str
    """Consumer group."""
    partition: str
    """Number of the partition; key of a log that has none."""
    consumer: str | None
    """Who reads it; empty: nobody; None: not known."""
    waiting: int | None
    """Entries, of a topic offsets; None: not known."""
    note: str = ""
    """What the number is, where that is not plain."""


class LagSource(Protocol):
    """Where the API asks for the lags of one pipeline."""

    async def read(self) -> Sequence[Lag]:
        """Return the lag of each partition before each group. Raises UnavailableError, OutcomeUnknownError."""

    async def close(self) -> None:
        """Close the connections that ``read`` has opened."""
