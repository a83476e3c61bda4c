"""The bodies of requests and answers as types: the JSON Schema of ``/openapi.json`` is made from them.

Orders are read by ``body.parse``, which is exact about money where JSON Schema knows only floats; a test holds
both against each other.
"""

from typing import Annotated

from msgspec import UNSET, Meta, Struct, UnsetType

from coffee_core.menu import DRINKS, MAX_PRICE_CENTS, STORES

UUID_PATTERN = "[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}"
"""A message id as text; no anchors."""
TIMESTAMP_PATTERN = (
    r"^(19[7-9][0-9]|[2-9][0-9]{3})-[0-9]{2}-[0-9]{2}"
    r"[Tt ][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?([Zz]|[+-][0-9]{2}:[0-9]{2})$"
)
"""RFC 3339 with its offset; that it is a real date of the years 1970 to 9999 no pattern can say."""

Drink = Annotated[str, Meta(extra_json_schema={"enum": list(DRINKS)})]
Store = Annotated[str, Meta(extra_json_schema={"enum": list(STORES)})]
Price = Annotated[
    float,
    Meta(
        gt=0,
        le=MAX_PRICE_CENTS // 100,
        description="a decimal with at most two places",
        extra_json_schema={"multipleOf": 0.01},
    ),
]
Timestamp = Annotated[
    str,
    Meta(
        pattern=TIMESTAMP_PATTERN,
        description="RFC 3339 with an offset, 1970 to 9999, at most six decimals",
        extra_json_schema={"format": "date-time"},
    ),
]
MessageId = Annotated[str, Meta(pattern=f"^{UUID_PATTERN}$", extra_json_schema={"format": "uuid"})]


class Order(Struct, forbid_unknown_fields=True):
    """An order."""

    drink: Drink
    store: Store
    price: Price
    timestamp: Timestamp


class BatchOrder(Struct, forbid_unknown_fields=True):
    """An order of a batch; ``message_id`` (or ``idempotency_key``, not both) makes a repeat of it a repeat."""

    drink: Drink
    store: Store
    price: Price
    timestamp: Timestamp
    message_id: MessageId | UnsetType = UNSET
    idempotency_key: MessageId | UnsetType = UNSET


class CloudEvent(Struct):
    """An order as a CloudEvent 1.0; its id, or the UUIDv5 of source and id, becomes the message id."""

    specversion: Annotated[str, Meta(extra_json_schema={"const": "1.0"})]
    id: Annotated[str, Meta(min_length=1)]
    source: Annotated[str, Meta(min_length=1)]
    type: Annotated[str, Meta(min_length=1)]
    data: Order
    datacontenttype: Annotated[str, Meta(extra_json_schema={"const": "application/json"})] | UnsetType = UNSET


class Links(Struct):
    """Where to go from here."""

    status: Annotated[str, Meta(description="path that tells what has become of the order")]


class Taken(Struct):
    """An order that was taken: ``stored`` by v1, ``accepted`` by v2 and v3."""

    message_id: MessageId
    status: Annotated[str, Meta(extra_json_schema={"enum": ["stored", "accepted"]})]
    links: Links


class TakenBatch(Struct):
    """One result of each order, in the order of the request."""

    orders: list[Taken]


class OrderStatus(Struct):
    """What is known of an order."""

    message_id: MessageId
    accepted: Annotated[bool, Meta(description="the pipeline has it for good")]
    stored: Annotated[bool | None, Meta(description="it is a row in PostgreSQL; null: cannot be known")]
    shown: Annotated[bool | None, Meta(description="the dashboard counts it; null: cannot be known")]
    accepted_us: Annotated[
        int | None, Meta(description="when the API took it, by its clock: µs since the epoch; null: it is no row")
    ]
    stored_us: Annotated[
        int | None, Meta(description="when its row was inserted, by PostgreSQL's clock: µs since the epoch")
    ]


class Problem(Struct):
    """Problem details, RFC 9457."""

    type: Annotated[str, Meta(description="stable: clients tell problems apart by it")]
    title: str
    status: int
    detail: str
    request_id: str
    field: str | UnsetType = UNSET
    index: int | UnsetType = UNSET
    message_id: str | UnsetType = UNSET
    message_ids: list[str] | UnsetType = UNSET


class Totals(Struct):
    """What the dashboard shows of one pipeline."""

    orders: int
    revenue_cents: int
    drink_counts: dict[str, int]
    drink_revenue_cents: dict[str, int]
    store_counts: dict[str, int]
    store_revenue_cents: dict[str, int]
    duplicates: int
    dead_letters: int
    last_update_us: Annotated[int | None, Meta(description="µs since the epoch; null: never")]


class Dashboard(Struct):
    """All pipelines at one moment."""

    time_us: Annotated[int, Meta(description="µs since the epoch, by the clock of Redis")]
    stream_entries: Annotated[int, Meta(description="entries of v2 that no worker has finished")]
    pipelines: dict[str, Totals]


class Sums(Struct):
    """Orders and revenue, in all and of each store."""

    orders: int
    revenue_cents: int
    store_counts: dict[str, int]
    store_revenue_cents: dict[str, int]


class Window(Sums):
    """One minute of event time."""

    start_us: Annotated[int, Meta(description="its beginning, µs since the epoch")]
    final: Annotated[bool, Meta(description="the watermark has passed it: it changes no more")]


class LastWindows(Struct):
    """The last windows of a pipeline, the oldest first."""

    time_us: Annotated[int, Meta(description="µs since the epoch, by the clock of the API")]
    watermark_us: Annotated[
        int | None, Meta(description="windows that end before it are final; null: nothing is known yet")
    ]
    window_s: Annotated[int, Meta(description="length of a window")]
    late_after_s: Annotated[int, Meta(description="how long a window stays open after its end")]
    windows: list[Window]
    late: Annotated[Sums, Meta(description="what came after its window was closed, ever")]


BODIES = (Order, BatchOrder, CloudEvent, Taken, TakenBatch, OrderStatus, Problem, Dashboard, LastWindows)
"""Everything that the OpenAPI document describes."""
