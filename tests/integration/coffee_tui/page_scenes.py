"""What stands on the pages beside Live, still: orders and a journey, a fault that is felt, windows, logs."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any, cast
from uuid import UUID

from backend.pipelines.v2_streams.xray import StreamXRay
from backend.pipelines.xray import StoredOrder
from coffee_core.menu import STORES
from coffee_core.order import Order
from coffee_core.pipelines import DEFAULT_PIPELINES, Pipeline
from coffee_core.runstate import write_env
from coffee_core.settings import Settings
from coffee_core.windows import StoreSums, Windows
from coffee_tui.data.api_reader import Journey
from coffee_tui.data.connection import Attachment
from coffee_tui.data.event_windows import WindowsView
from coffee_tui.data.faults import FaultInfo, Faults, FaultView, Phase
from coffee_tui.data.lag import LagHistory, LagRow, LagView
from coffee_tui.data.orders import Journal, SentOrder
from coffee_tui.data.xray import XRayView
from tests.integration.coffee_tui.scenes import NOW_US

V1, V2, V3 = DEFAULT_PIPELINES
STRUCK_S = 100.0
_MENU = (
    ("kill-postgres", "v1 refuses until it is back; v2 and v3 go on accepting, their logs fill and then drain"),
    ("kill-redis", "an acknowledged XADD survives (AOF, fsync always); v1 and v3 go on accepting"),
    ("kill-kafka", "acks=all: what was acknowledged is on disk; the producer and Flink find the broker again"),
    ("kill-flink-taskmanager", "the warm spare takes over from the checkpoint, reads again what came after it"),
    (
        "kill-stream-worker",
        "killed between commit and acknowledgement, its batch is delivered again, counted once",
    ),
    ("freeze-redis", "v2 cannot say whether its XADD took place: unknown answers, that a repeat resolves"),
    ("freeze-flink-taskmanager", "it hangs, is given up, and wakes as a second writer: the fence must refuse it"),
    ("full-disk-kafka", "the broker gives up its only log folder and halts; it comes back with all of it"),
    ("slow-postgres", "a database that gets a fifth of its time: v1's clients wait for it"),
    ("lock-postgres", "an ACCESS EXCLUSIVE lock on the orders: all others wait behind it"),
    ("poison-topic", "records straight into the topic that can never be stored: the job must not loop over them"),
    ("retry-storm", "clients that all send their last orders again, several times at once: counted once"),
)
_ORDERS = ("latte at uptown, $ 5.00", "cappuccino at southend, $ 4.75", "americano at central, $ 3.50")
_LOGS = {
    "cafe-order-api": ("started", "listening on http://127.0.0.1:8005"),
    "flink-job": ("job submitted, restored from chk-41", "running"),
    "kafka": ("Kafka Server started", "Created log for partition orders-0", "Created log for partition orders-1"),
    "stream-worker": (
        *(f"batch of {100 + number} entries stored and counted" for number in range(40)),
        "redis is away: connection refused; nothing is acknowledged, next try in 0.5 s",
        "redis is back",
    ),
}


class StagedFaults(Faults):
    """A menu, and a fault of it that is felt; nothing is started."""

    def __init__(self, attachment: Attachment) -> None:
        super().__init__(attachment)
        self._menu = [FaultInfo(*each) for each in _MENU]
        self.view = FaultView(
            "kill-flink-taskmanager",
            Phase.STRUCK,
            pipelines=DEFAULT_PIPELINES,
            struck_s=STRUCK_S,
            visible=((V2, 0.1), (V1, 3.2)),
            progress="kill-flink-taskmanager: now",
        )

    def why_not(self) -> str:
        return ""


async def whole_menu() -> list[FaultInfo]:
    """List the menu where no stack runs."""
    return [FaultInfo(*each, here=False) for each in _MENU]


def attachment(home: Path) -> Attachment:
    """Return a stack that has logs; nothing runs."""
    nobody = "127.0.0.1:1"
    settings = Settings.from_env(
        {"COFFEE_HOME": str(home), "API_URL": f"http://{nobody}", "REDIS_URL": f"redis://{nobody}/0"}
    )
    write_env(home, {"API_URL": settings.api_url})
    (home / "logs").mkdir()
    for name, lines in _LOGS.items():
        stamped = (f"2023-11-14T22:12:{at:02d}Z {line}\n" for at, line in enumerate(lines))
        (home / "logs" / f"{name}.log").write_text("".join(stamped))
    return Attachment.to(settings)


def sent(journal: Journal) -> None:
    """Note some orders, one of them refused and one without an answer."""
    for number in range(14):
        pipeline = (V1, V2, V3)[number % 3]
        at_us = NOW_US - 60_000_000 + number * 1_512_345
        outcome, status, reason = {
            4: ("refused", 503, "redis is down"),
            9: ("unknown", None, "no answer in 10 s"),
        }.get(number, ("acknowledged", 201 if pipeline == V1 else 202, ""))
        known = f"018bcfe5-68{number:02x}-7000-8000-00000000{number:04x}" if outcome == "acknowledged" else None
        order = _ORDERS[number * 7 % 3]
        journal.add(SentOrder(pipeline, order, outcome, status, reason, known, at_us, 900 + 731 * number))


async def journey(_: Settings, order: SentOrder) -> Journey:
    """Tell of a row, whose moment on the screen nobody has seen."""
    return Journey(True, True, accepted_us=order.answered_us - 2_100, stored_us=order.answered_us + 9_300)


async def windows(_: Settings, __: Pipeline, ___: WindowsView) -> WindowsView:
    """Tell of ten minutes, the last of which is open."""
    first_s = NOW_US // 60_000_000 * 60 - 540
    counts = [{store: 40 * at + 97 * place for place, store in enumerate(STORES, 1)} for at in range(10)]
    found = {first_s + 60 * at: _sums(each) for at, each in enumerate(counts)}
    return WindowsView(Windows(found, _sums(dict.fromkeys(STORES, 3)), (first_s + 555) * 1_000_000))


def _sums(counts: dict[str, int]) -> StoreSums:
    return StoreSums(counts, {store: 470 * orders for store, orders in counts.items()})


_STREAM = LagRow("order-workers", "orders:stream", "", 9_600, "not read yet")
_LAGS = {
    V1: (),
    V2: (_STREAM, LagRow("order-workers", "orders:stream", "host-1", 400, "in hand, asked 12 s ago")),
    V3: tuple(
        LagRow("flink-processors", str(number), None, waiting, "at most, since the job's last checkpoint")
        for number, waiting in enumerate((120, 0, None, 45))
    ),
}


async def lag(_: Settings, pipeline: Pipeline, __: LagView) -> LagView:
    """Tell of a backlog that drains, and of a partition of which nobody knows."""
    return LagView(_LAGS[pipeline])


def lag_history() -> LagHistory:
    """Return the minute before: a backlog that came, and drains by 800 a second."""
    history = LagHistory()
    for second in range(60):
        waiting = 600 * second if second < 40 else 24_000 - 800 * (second - 40)
        history.add(second - 60.0, [replace(_STREAM, waiting=waiting)])
    return history


async def xray(_: Settings, pipeline: Pipeline, message_id: str) -> XRayView:
    """Tell the way of an order of v2, as the API does."""
    order = Order(UUID(message_id), "latte", "uptown", 500, NOW_US, NOW_US + 2_100)
    way = StreamXRay(cast("Any", None), cast("Any", None), pipeline)
    stored = StoredOrder(order, "1700000000002-0", NOW_US + 9_300)
    steps = [way._request(order), *await way.between(stored), *way._keys_read()]
    # A script's name is its hash: its picture need not change with each of its letters.
    named = (replace(step, line=re.sub(r"\b[0-9a-f]{40}\b", "0123456789" * 4, step.line)) for step in steps)
    return XRayView(message_id, tuple(named))
