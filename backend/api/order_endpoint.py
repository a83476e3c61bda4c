"""POST /api/v…/order: one ASGI application for each pipeline, without request and response objects."""

import logging
from time import perf_counter_ns

from starlette.types import Receive, Scope, Send

from backend.api import problems
from backend.api.incoming import ClientGoneError, read_order
from backend.api.intakes import Intake
from backend.api.kinds import CONFLICT, UNAVAILABLE, UNKNOWN
from backend.api.outcome import KeyConflictError, OutcomeUnknownError, UnavailableError
from backend.api.problems import ProblemError
from backend.api.request_ids import request_id
from backend.api.tallies import Answers
from coffee_core.order import Order
from coffee_core.pipelines import INFO, Pipeline

log = logging.getLogger(__name__)

_JSON = (b"content-type", b"application/json")


class OrderEndpoint:
    """Takes the orders of one pipeline."""

    def __init__(self, pipeline: Pipeline, intake: Intake, answers: Answers) -> None:
        self._take = intake.take
        self._answers = answers
        self._status = INFO[pipeline].accepted_status
        word = "stored" if self._status == 201 else "accepted"
        self._location = f"/api/{pipeline}/order/"
        self._body = f'{{"message_id":"%s","status":"{word}","links":{{"status":"{self._location}%s"}}}}'

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        started_ns = perf_counter_ns()
        try:
            order, keyed = await read_order(scope, receive)
            await self._durable(order, keyed)
        except ProblemError as problem:
            status, headers = problem.kind.status, problems.headers(problem.kind)
            body = problems.body(problem, request_id(scope))
        except ClientGoneError:
            return
        else:
            message_id = str(order.message_id)
            status, headers = self._status, [_JSON, (b"location", (self._location + message_id).encode())]
            body = (self._body % (message_id, message_id)).encode()
        headers.append((b"content-length", b"%d" % len(body)))
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})
        self._answers.count(status, (perf_counter_ns() - started_ns) // 1_000)

    async def _durable(self, order: Order, keyed: bool) -> None:
        try:
            await self._take(order, keyed)
        except UnavailableError as error:
            raise ProblemError(UNAVAILABLE, str(error)) from error
        except KeyConflictError as error:
            detail = f"{order.message_id} was used for another order: a new order needs a new key"
            raise ProblemError(CONFLICT, detail, field="Idempotency-Key") from error
        except OutcomeUnknownError as error:
            raise _unknown(order, str(error)) from error
        except Exception as error:
            # Whatever it was, it came after the order may have been sent.
            log.exception("an order could not be taken")
            raise _unknown(order, "the API made a mistake") from error


def _unknown(order: Order, reason: str) -> ProblemError:
    message_id = str(order.message_id)
    detail = f"{reason}; send the same order again with Idempotency-Key {message_id}: it is counted once"
    return ProblemError(UNKNOWN, detail, message_id=message_id)
