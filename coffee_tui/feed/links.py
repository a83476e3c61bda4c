"""The links of a chain: how fast orders pass each, and where they wait."""

from collections.abc import Sequence
from dataclasses import replace

from coffee_core.account import Account
from coffee_core.pipelines import Pipeline
from coffee_tui.feed.snapshot import Stage

_WAITS_AT = 1
"""In every chain orders wait on the second link: before the cron, the worker, the job."""


def waiting(pipeline: Pipeline, account: Account | None, stream_entries: int) -> int | None:
    """Return the orders that wait for the processor; v2 says so itself, of the others the API must know."""
    if pipeline is Pipeline.V2:
        return stream_entries
    return account.in_flight if account is not None else None


def with_links(stages: Sequence[Stage], rates: Sequence[float | None], queued: int | None) -> tuple[Stage, ...]:
    """Return the stages with a rate for each link, first to last, and with what waits for the processor."""
    linked = [replace(stage, rate=rate) for stage, rate in zip(stages, rates, strict=False)]
    linked[_WAITS_AT] = replace(linked[_WAITS_AT], waiting=queued)
    return (*linked, *stages[len(linked) :])
