"""The Flink function that shows the tally in Redis: a scalar function, because SQL calls it once a mini-batch."""

from typing import Any

from pyflink.table.udf import ScalarFunction

from flink.redis_tally import RedisTally


class ShowInRedis(ScalarFunction):  # type: ignore[misc]  # pyflink has no types
    """Takes the columns of the tally and returns what the Redis script answered."""

    def __init__(self, redis_url: str, epoch: str) -> None:
        self._redis_url = redis_url
        self._epoch = epoch
        self._tally: RedisTally | None = None

    def open(self, function_context: Any) -> None:  # noqa: ARG002
        """Connect, where the function runs."""
        self._tally = RedisTally(self._redis_url, self._epoch)

    def close(self) -> None:
        """Disconnect."""
        if self._tally is not None:
            self._tally.close()

    def is_deterministic(self) -> bool:
        """Keep the planner from folding or repeating the call: it is made for its effect."""
        return False

    def eval(self, *row: Any) -> int:
        """Show one row."""
        assert self._tally is not None
        return self._tally.show(row)


class WarmUp(ScalarFunction):  # type: ignore[misc]
    """Does nothing, in a Python that has loaded what the job needs: importing this module was the work."""

    def is_deterministic(self) -> bool:
        """Keep the planner from calling it in the client."""
        return False

    def eval(self, *row: Any) -> int:
        """Return the number of columns."""
        return len(row)
