"""What can be broken of v1 alone: its aggregator."""

from backend.pipelines.faults import part_faults

FAULTS = part_faults(
    "cafe-order-aggregator",
    "a scan starts afresh: the metrics are late by one run, never wrong",
    "the dashboard stands still while orders are committed: v1's weakness in one picture",
)
