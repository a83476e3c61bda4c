"""POST /api/v…/order: one ASGI application for each pipeline, without request and response objects."""

import logging
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from time import perf_counter_ns
from uuid import UUID

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from backend.api import problems
from backend.api.admission import BATCH_WEIGHT, Room
from backend.api.answer_counters import Answers
from backend.api.parsing import ClientGoneError, read_batch, read_order
from backend.api.problems import CONFLICT, IN_FLIGHT, INVALID, NOT_FOUND, UNAVAILABLE, UNKNOWN, ProblemError
from backend.api.responses import JSON, answer, request_id
from backend.pipelines.interface import Intake, Lookup
from coffee_core.errors import KeyConflictError, OrderError, OutcomeUnknownError, UnavailableError
from coffee_core.ids import parse_idempotency_key
from coffee_core.order import Order
from coffee_core.pipelines import Pipeline

# Orders into their pipeline: one at a time under each key, and what went wrong in words of HTTP.


log = logging.getLogger(__name__)

_MISTAKE = "the API made a mistake"


class Taking:
    """Takes the orders of one pipeline; every failure is a ProblemError."""

    def __init__(self, intake: Intake) -> None:
        self._intake = intake
        self._in_flight: set[UUID] = set()

    async def take(self, order: Order, keyed: bool) -> None:
        """Return when the order is durable."""
        if not keyed:  # nobody else can have this message id
            await self._take(order, keyed)
            return
        if order.message_id in self._in_flight:
            raise _in_flight(order.message_id)
        self._in_flight.add(order.message_id)
        try:
            await self._take(order, keyed)
        finally:
            self._in_flight.remove(order.message_id)

    async def _take(self, order: Order, keyed: bool) -> None:
        try:
            await self._intake.take(order, keyed)
        except UnavailableError as error:
            raise ProblemError(UNAVAILABLE, str(error)) from error
        except KeyConflictError as error:
            raise ProblemError(CONFLICT, str(error), field="Idempotency-Key") from error
        except OutcomeUnknownError as error:
            raise _unknown(order, str(error)) from error
        except Exception as error:
            # Whatever it was, it came after the order may have been sent.
            log.exception("an order could not be taken")
            raise _unknown(order, _MISTAKE) from error

    async def take_all(self, orders: Sequence[Order], keyed: AbstractSet[UUID]) -> None:
        """Return when all of them are durable; no two have the same message id."""
        for message_id in keyed:
            if message_id in self._in_flight:
                raise _in_flight(message_id)
        self._in_flight |= keyed
        try:
            await self._intake.take_all(orders, keyed)
        except UnavailableError as error:
            raise ProblemError(UNAVAILABLE, str(error)) from error
        except KeyConflictError as error:
            raise ProblemError(CONFLICT, str(error), field="message_id") from error
        except OutcomeUnknownError as error:
            raise _all_unknown(orders, str(error)) from error
        except Exception as error:
            log.exception("a batch could not be taken")
            raise _all_unknown(orders, _MISTAKE) from error
        finally:
            self._in_flight -= keyed


def _in_flight(message_id: UUID) -> ProblemError:
    return ProblemError(IN_FLIGHT, f"{message_id} is being taken: ask again for its answer")


def _unknown(order: Order, reason: str) -> ProblemError:
    message_id = str(order.message_id)
    detail = f"{reason}; send the same order again with Idempotency-Key {message_id}: it is counted once"
    return ProblemError(UNKNOWN, detail, message_id=message_id)


def _all_unknown(orders: Sequence[Order], reason: str) -> ProblemError:
    detail = f"{reason}; send the same orders again, each with its message_id: they are counted once"
    return ProblemError(UNKNOWN, detail, message_ids=[str(order.message_id) for order in orders])


class OrderEndpoint:
    """Takes the orders of one pipeline."""

    def __init__(self, pipeline: Pipeline, taking: Taking, answers: Answers, room: Room) -> None:
        self._take = taking.take
        self._room = room
        self._answers = answers
        self._status = pipeline.info.accepted_status
        self._location = location(pipeline)
        self._body = taken_template(pipeline)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        started_ns = perf_counter_ns()
        try:
            order, keyed = await read_order(scope, receive)
            # Only now: who is slow to send a body takes no room from those who are not.
            client = self._room.enter(scope, 1)
            try:
                await self._take(order, keyed)
            finally:
                self._room.leave(client, 1)
        except ProblemError as problem:
            status, headers = problem.kind.status, problems.headers(problem.kind)
            body = problems.body(problem, request_id(scope))
        except ClientGoneError:
            return
        else:
            message_id = str(order.message_id)
            status, headers = self._status, [JSON, (b"location", (self._location + message_id).encode())]
            body = (self._body % (message_id, message_id)).encode()
        await answer(send, status, headers, body)
        self._answers.count(status, (perf_counter_ns() - started_ns) // 1_000)


def location(pipeline: Pipeline) -> str:
    """Return the beginning of the path of an order's status."""
    return f"/api/{pipeline}/order/"


def taken_template(pipeline: Pipeline) -> str:
    """Return the JSON of an order that was taken, with two places for its message id."""
    word = "stored" if pipeline.info.accepted_status == 201 else "accepted"
    return f'{{"message_id":"%s","status":"{word}","links":{{"status":"{location(pipeline)}%s"}}}}'


# POST /api/v…/orders: up to a thousand orders, all of them or none, one result each.


class BatchEndpoint:
    """Takes the batches of one pipeline."""

    def __init__(self, pipeline: Pipeline, taking: Taking, answers: Answers, room: Room) -> None:
        self._room = room
        self._taking = taking
        self._answers = answers
        self._status = pipeline.info.accepted_status
        self._body = taken_template(pipeline)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        started_ns, count = perf_counter_ns(), 1
        try:
            batch = await read_batch(scope, receive)
            client = self._room.enter(scope, BATCH_WEIGHT)
            try:
                await self._taking.take_all(batch.distinct, batch.keyed)
            finally:
                self._room.leave(client, BATCH_WEIGHT)
        except ProblemError as problem:
            status, headers = problem.kind.status, problems.headers(problem.kind)
            if problem.message_ids is not None:
                problem.message_ids = [str(message_id) for message_id in batch.message_ids]
            body = problems.body(problem, request_id(scope))
        except ClientGoneError:
            return
        else:
            status, headers, count = self._status, [JSON], len(batch.distinct)
            results = ",".join(self._body % (each, each) for each in batch.message_ids)
            body = f'{{"orders":[{results}]}}'.encode()
        await answer(send, status, headers, body)
        self._answers.count(status, (perf_counter_ns() - started_ns) // 1_000, count)


# GET /api/v…/order/{message_id}: accepted, stored, shown.


def route(pipeline: Pipeline, lookup: Lookup) -> Route:
    """Return the route of one pipeline; it raises ProblemError."""

    async def status(request: Request) -> Response:
        try:
            message_id = parse_idempotency_key(request.path_params["message_id"])
        except OrderError as error:
            raise ProblemError(INVALID, f"message_id: {error.reason}", field="message_id") from error
        try:
            found = await lookup.find(message_id)
        except UnavailableError as error:
            raise ProblemError(UNAVAILABLE, str(error)) from error
        if found is None:
            raise ProblemError(NOT_FOUND, f"Nothing is known of an order {message_id} of {pipeline}")
        said = {"message_id": str(message_id), "accepted": True, **found._asdict()}
        return JSONResponse(said, headers={"Cache-Control": "no-store"})

    return Route(f"/api/{pipeline}/order/{{message_id}}", status, methods=["GET"])
