"""v1's peer: ``python insert_api.py PORT`` stores each order by an INSERT (FastAPI and asyncpg)."""

import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from decimal import Decimal
from typing import Annotated
from uuid import UUID, uuid4

import asyncpg
import uvicorn
from fastapi import FastAPI, Header
from pydantic import BaseModel


class Order(BaseModel):
    """The body of a request."""

    drink: str
    store: str
    price: Decimal
    timestamp: datetime


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Keep a pool of connections while the API runs."""
    async with asyncpg.create_pool(os.environ["DATABASE_URL"]) as app.state.pool:
        yield


app = FastAPI(lifespan=lifespan)


@app.post("/api/{_pipeline}/order", status_code=201)
async def place(order: Order, idempotency_key: Annotated[UUID | None, Header()] = None) -> dict[str, str]:
    """Answer once the order is committed."""
    message_id = idempotency_key or uuid4()
    await app.state.pool.execute(
        "INSERT INTO peer_insert VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING",
        *(message_id, order.drink, order.store, int(order.price * 100), order.timestamp),
    )
    return {"message_id": str(message_id)}


if __name__ == "__main__":
    uvicorn.run(app, port=int(sys.argv[1]), access_log=False, log_level="warning")
