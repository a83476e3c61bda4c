"""v2's peer, its API: ``python stream_api.py PORT`` adds each order to a Redis stream (FastAPI and redis-py)."""

import os
import sys
from datetime import datetime
from decimal import Decimal
from typing import Annotated
from uuid import UUID, uuid4

import uvicorn
from fastapi import FastAPI, Header
from pydantic import BaseModel
from redis.asyncio import Redis


class Order(BaseModel):
    """The body of a request."""

    drink: str
    store: str
    price: Decimal
    timestamp: datetime


app = FastAPI()
redis = Redis.from_url(os.environ["REDIS_URL"])


@app.post("/api/{_pipeline}/order", status_code=202)
async def place(order: Order, idempotency_key: Annotated[UUID | None, Header()] = None) -> dict[str, str]:
    """Answer once the order is in the stream."""
    message_id = str(idempotency_key or uuid4())
    fields: dict[bytes | bytearray | memoryview | str | int | float, bytes | memoryview | str | int | float] = {
        "message_id": message_id,
        "drink": order.drink,
        "store": order.store,
        "price_cents": int(order.price * 100),
        "ordered_at_us": int(order.timestamp.timestamp() * 1_000_000),
    }
    await redis.xadd("peer-stream", fields)
    return {"message_id": message_id}


if __name__ == "__main__":
    uvicorn.run(app, port=int(sys.argv[1]), access_log=False, log_level="warning")
