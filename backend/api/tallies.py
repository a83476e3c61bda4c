"""What the orders of each pipeline were answered, and how quickly: for the dashboard, by the core's buckets."""

from collections import Counter

from coffee_core.latency import bucket_of


class Answers:
    """Answers of one pipeline since the API started."""

    def __init__(self) -> None:
        self._statuses: Counter[int] = Counter()
        self._latency: Counter[int] = Counter()

    def count(self, status: int, latency_us: int, orders: int = 1) -> None:
        """Add one answer, or as many as the batch has orders; only accepted orders count into the latency."""
        self._statuses[status] += orders
        if status < 300:
            self._latency[bucket_of(latency_us)] += orders

    def statuses(self) -> dict[str, int]:
        """Return HTTP status → answers."""
        return {str(status): count for status, count in sorted(self._statuses.items())}

    def latency(self) -> dict[str, int]:
        """Return bucket of ``coffee_core.latency`` → accepted orders that took so long."""
        return {str(bucket): count for bucket, count in sorted(self._latency.items())}
