"""The Flink functions that show results in Redis: scalar ones, because SQL calls them once a mini-batch."""

from typing import Any

from pyflink.table.udf import ScalarFunction

from flink.redis_sink import RedisTotals, RedisWindows


class _InRedis(ScalarFunction):  # type: ignore[misc]  # pyflink has no types
    """A function that is called for its effect on Redis."""

    def __init__(self, redis_url: str, epoch: str) -> None:
        self._redis_url = redis_url
        self._epoch = epoch
        self._writer: RedisTotals | RedisWindows | None = None

    def close(self) -> None:
        """Disconnect."""
        if self._writer is not None:
            self._writer.close()

    def is_deterministic(self) -> bool:
        """Keep the planner from folding or repeating the call: it is made for its effect."""
        return False

    def eval(self, *row: Any) -> int:
        """Show one row and return what the Redis script answered."""
        assert self._writer is not None
        return self._writer.show(row)


class ShowInRedis(_InRedis):
    """Writes the totals; takes the columns of the tally."""

    def open(self, function_context: Any) -> None:  # noqa: ARG002
        """Connect, where the function runs."""
        self._writer = RedisTotals(self._redis_url, self._epoch)


class ShowWindowInRedis(_InRedis):
    """Writes a window; takes its columns."""

    def open(self, function_context: Any) -> None:  # noqa: ARG002
        """Connect, where the function runs."""
        self._writer = RedisWindows(self._redis_url, self._epoch)


class WarmUp(ScalarFunction):  # type: ignore[misc]
    """Does nothing: loading this module into the TaskManager's Python is the warm-up."""

    def is_deterministic(self) -> bool:
        """Keep the planner from calling it in the client."""
        return False

    def eval(self, *row: Any) -> int:
        """Return the number of columns."""
        return len(row)
