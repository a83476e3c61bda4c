"""Orders over HTTP, for each pipeline: POST one, POST up to a thousand, GET the state of one, or its way.

The endpoints of POST are ASGI applications without request and response objects, which cost more than the order.
"""

import logging
from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import asdict
from functools import partial
from time import perf_counter_ns
from uuid import UUID

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from backend.api.admission import BATCH_WEIGHT, InFlight
from backend.api.answer_counters import AnswerCounts
from backend.api.parsing import JSON, ClientGoneError, read_batch, read_order, read_order_body
from backend.api.problems import (
    CONFLICT,
    IN_FLIGHT,
    INVALID,
    NOT_FOUND,
    UNAVAILABLE,
    UNKNOWN,
    Answer,
    ProblemError,
    answer,
    answer_problem,
)
from backend.pipelines.operations import Ingest
from backend.pipelines.status import Lookup
from backend.pipelines.xray import XRay
from coffee_core.errors import KeyConflictError, OrderError, OutcomeUnknownError, UnavailableError
from coffee_core.order import Order, parse_idempotency_key
from coffee_core.pipelines import Pipeline

_log = logging.getLogger(__name__)

_CONTENT_TYPE = (b"content-type", JSON)
_INTERNAL_ERROR = "the API made a mistake"


class OrderEndpoint:
    """POST /api/v…/order: one order."""

    def __init__(
        self, pipeline: Pipeline, submitter: "OrderSubmitter", answers: AnswerCounts, in_flight: InFlight
    ) -> None:
        self._submitter = submitter
        self._in_flight = in_flight
        self._answers = answers
        self._status = pipeline.info.accepted_status
        self._location = _status_path(pipeline)
        self._body = _accepted_template(pipeline)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Read one order, submit it, answer with its id, and count the answer."""
        started_ns = perf_counter_ns()
        try:
            raw = await read_order_body(scope, receive)
            status, headers, body = await self.take(scope, raw, started_ns)
        except ProblemError as problem:
            await answer_problem(scope, send, problem)
            self._answers.count(problem.type.status, 0)
        except ClientGoneError:
            return
        else:
            await answer(send, status, headers, body)

    async def take(self, scope: Scope, raw: bytes, started_ns: int) -> Answer:
        """Submit the order in this body, count its answer and return it.

        ``started_ns`` is when the request came, by ``perf_counter_ns``. Raises ProblemError: to be counted.
        """
        order, keyed = read_order(scope["headers"], raw)
        # After the body: a client that sends slowly takes no place in flight.
        client = self._in_flight.enter(scope, 1)
        try:
            await self._submitter.submit(order, keyed)
        finally:
            self._in_flight.leave(client, 1)
        self._answers.count(self._status, (perf_counter_ns() - started_ns) // 1_000)
        message_id = str(order.message_id)
        headers = [_CONTENT_TYPE, (b"location", (self._location + message_id).encode())]
        return self._status, headers, (self._body % (message_id, message_id)).encode()


class BatchEndpoint:
    """POST /api/v…/orders: up to a thousand orders, all of them or none, one result each."""

    def __init__(
        self, pipeline: Pipeline, submitter: "OrderSubmitter", answers: AnswerCounts, in_flight: InFlight
    ) -> None:
        self._submitter = submitter
        self._in_flight = in_flight
        self._answers = answers
        self._status = pipeline.info.accepted_status
        self._body = _accepted_template(pipeline)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Read a batch, submit it as a whole, answer with one result an order, and count the answer."""
        started_ns, count = perf_counter_ns(), 1
        try:
            batch = await read_batch(scope, receive)
            client = self._in_flight.enter(scope, BATCH_WEIGHT)
            try:
                await self._submitter.submit_all(batch.distinct, batch.keyed)
            finally:
                self._in_flight.leave(client, BATCH_WEIGHT)
        except ProblemError as problem:
            status = problem.type.status
            if problem.message_ids is not None:
                problem.message_ids = [str(message_id) for message_id in batch.message_ids]
            await answer_problem(scope, send, problem)
        except ClientGoneError:
            return
        else:
            status, count = self._status, len(batch.distinct)
            results = ",".join(self._body % (message_id, message_id) for message_id in batch.message_ids)
            await answer(send, status, [_CONTENT_TYPE], f'{{"orders":[{results}]}}'.encode())
        self._answers.count(status, (perf_counter_ns() - started_ns) // 1_000, count)


class OrderSubmitter:
    """Passes orders to the ingest of one pipeline, one at a time under a key; every failure is a ProblemError."""

    def __init__(self, ingest: Ingest) -> None:
        self._ingest = ingest
        self._keys_in_flight: set[UUID] = set()
        """Message ids of orders in flight, of those that clients have given."""

    async def submit(self, order: Order, keyed: bool) -> None:
        """Return when the order is durable."""
        if keyed:  # a message id that the API has made is unique
            self._require_not_in_flight(order.message_id)
            self._keys_in_flight.add(order.message_id)
        try:
            await self._ingest.submit(order, keyed)
        except Exception as error:
            raise _problem(error, "an order", "Idempotency-Key", partial(_unknown, order)) from error
        finally:
            if keyed:
                self._keys_in_flight.remove(order.message_id)

    async def submit_all(self, orders: Sequence[Order], keyed: AbstractSet[UUID]) -> None:
        """Return when all of them are durable; no two have the same message id."""
        for message_id in keyed:
            self._require_not_in_flight(message_id)
        self._keys_in_flight |= keyed
        try:
            await self._ingest.submit_all(orders, keyed)
        except Exception as error:
            raise _problem(error, "a batch", "message_id", partial(_all_unknown, orders)) from error
        finally:
            self._keys_in_flight -= keyed

    def _require_not_in_flight(self, message_id: UUID) -> None:
        if message_id in self._keys_in_flight:
            raise ProblemError(IN_FLIGHT, f"{message_id} is being taken: ask again for its answer")


def _problem(error: Exception, what: str, key_field: str, unknown: Callable[[str], ProblemError]) -> ProblemError:
    """Return the answer to a failure of an ingest, and log one that no ingest should raise."""
    match error:
        case UnavailableError():
            return ProblemError(UNAVAILABLE, str(error))
        case KeyConflictError():
            return ProblemError(CONFLICT, str(error), field=key_field)
        case OutcomeUnknownError():
            return unknown(str(error))
    # Whatever failed, the orders may have been sent before.
    _log.error("%s could not be submitted", what, exc_info=error)
    return unknown(_INTERNAL_ERROR)


def _unknown(order: Order, reason: str) -> ProblemError:
    message_id = str(order.message_id)
    detail = f"{reason}; send the same order again with Idempotency-Key {message_id}: it is counted once"
    return ProblemError(UNKNOWN, detail, message_id=message_id)


def _all_unknown(orders: Sequence[Order], reason: str) -> ProblemError:
    detail = f"{reason}; send the same orders again, each with its message_id: they are counted once"
    return ProblemError(UNKNOWN, detail, message_ids=[str(order.message_id) for order in orders])


def status_route(pipeline: Pipeline, lookup: Lookup) -> Route:
    """Return GET /api/v…/order/{message_id}: accepted, stored, shown; it raises ProblemError."""

    async def status(request: Request) -> Response:
        message_id = _asked_for(request)
        try:
            found = await lookup.find(message_id)
        except UnavailableError as error:
            raise ProblemError(UNAVAILABLE, str(error)) from error
        if found is None:
            raise ProblemError(NOT_FOUND, f"Nothing is known of an order {message_id} of {pipeline}")
        content = {"message_id": str(message_id), "accepted": True, **found._asdict()}
        return JSONResponse(content, headers={"Cache-Control": "no-store"})

    return Route(f"{_status_path(pipeline)}{{message_id}}", status, methods=["GET"])


def xray_route(pipeline: Pipeline, xray: XRay, lookup: Lookup) -> Route:
    """Return GET /api/v…/order/{message_id}/xray: the order as what it really was; it raises ProblemError.

    An order that was taken and is no row yet has no steps yet.
    """

    async def steps(request: Request) -> Response:
        message_id = _asked_for(request)
        try:
            found = await xray.steps(message_id)
            if found is None and await lookup.find(message_id) is None:
                raise ProblemError(NOT_FOUND, f"Nothing is known of an order {message_id} of {pipeline}")
        except (UnavailableError, OutcomeUnknownError) as error:
            raise ProblemError(UNAVAILABLE, str(error)) from error
        content = {"message_id": str(message_id), "steps": [asdict(step) for step in found or ()]}
        return JSONResponse(content, headers={"Cache-Control": "no-store"})

    return Route(f"{_status_path(pipeline)}{{message_id}}/xray", steps, methods=["GET"])


def _asked_for(request: Request) -> UUID:
    try:
        return parse_idempotency_key(request.path_params["message_id"])
    except OrderError as error:
        raise ProblemError(INVALID, f"message_id: {error.reason}", field="message_id") from error


def _status_path(pipeline: Pipeline) -> str:
    """Return the beginning of the path of an order's status."""
    return f"/api/{pipeline}/order/"


def _accepted_template(pipeline: Pipeline) -> str:
    """Return the JSON of an order that was accepted, with two places for its message id."""
    word = "stored" if pipeline.info.commits_in_request else "accepted"
    return f'{{"message_id":"%s","status":"{word}","links":{{"status":"{_status_path(pipeline)}%s"}}}}'
