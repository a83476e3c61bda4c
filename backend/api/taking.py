"""Orders into their pipeline: one at a time under each key, and what went wrong in words of HTTP."""

import logging
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from uuid import UUID

from backend.api.intakes import Intake
from backend.api.kinds import CONFLICT, IN_FLIGHT, UNAVAILABLE, UNKNOWN
from backend.api.outcome import KeyConflictError, OutcomeUnknownError, UnavailableError
from backend.api.problems import ProblemError
from coffee_core.order import Order

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
