"""The API as the dashboard reads it: its own figures and those of the stack."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from coffee_core.settings import Settings
from coffee_tui.data.connection import one_line
from coffee_tui.data.orders import SentOrder
from coffee_tui.data.readings import LabReading, ReadingError, parse_lab

if TYPE_CHECKING:
    from aiohttp import ClientSession

_TIMEOUT_S = 2.0


async def read_lab(session: "ClientSession", api_url: str) -> LabReading:
    """GET the API's figures of itself and of the stack.

    Raises aiohttp's ClientError or TimeoutError where the API cannot be reached, ReadingError where it
    answers with something else.
    """
    from aiohttp import ClientTimeout

    timeout = ClientTimeout(total=_TIMEOUT_S)
    async with session.get(f"{api_url}/api/lab", timeout=timeout) as answer:
        if answer.status != 200:
            raise ReadingError(f"GET /api/lab answered {answer.status}")
        try:
            body = await answer.json(content_type=None)
        except ValueError as error:
            raise ReadingError(f"GET /api/lab answered no JSON: {error}") from error
        return parse_lab(body)


@dataclass(frozen=True, slots=True)
class Journey:
    """What has become of one order, as the API finds it where the order passes; None is what cannot be known."""

    stored: bool | None = None
    """Whether it is a row in PostgreSQL."""
    shown: bool | None = None
    """Whether the totals in Redis contain it."""
    trouble: str = ""
    """Why nothing is known; empty where something is."""
    accepted_us: int | None = None
    """When the API took it, by the API's clock: microseconds since the epoch; known of a row alone."""
    stored_us: int | None = None
    """When its row was inserted, by PostgreSQL's clock: microseconds since the epoch."""
    shown_by_us: int | None = None
    """When it was first seen shown: microseconds since the epoch; None where nobody saw it before and after."""

    def with_shown_time(self, before: "Journey | None", now_us: int) -> "Journey":
        """Return this answer with the time at which it was first seen shown, given the answer before it."""
        if before is None or not self.shown:
            return self
        return replace(self, shown_by_us=now_us if before.shown is False else before.shown_by_us)


async def fetch_journey(settings: Settings, order: SentOrder) -> Journey:
    """GET what has become of an order; a failure is its ``trouble``, none is raised."""
    from aiohttp import ClientError, ClientSession, ClientTimeout

    if order.message_id is None:
        return Journey(trouble=order.reason or "the API has given it no id")
    url = f"{settings.api_url}/api/{order.pipeline}/order/{order.message_id}"
    try:
        async with (
            ClientSession(timeout=ClientTimeout(total=_TIMEOUT_S), headers=settings.authorization) as session,
            session.get(url) as answer,
        ):
            body = await answer.json(content_type=None)
            if answer.status != 200:
                detail = body.get("detail") if isinstance(body, dict) else None
                return Journey(trouble=str(detail or f"the API answers {answer.status}"))
            return Journey(
                body["stored"],
                body["shown"],
                # An API of an older version sends neither.
                accepted_us=body.get("accepted_us"),
                stored_us=body.get("stored_us"),
            )
    except (ClientError, OSError, TimeoutError) as error:
        return Journey(trouble=one_line(error))
    except (KeyError, TypeError, ValueError) as error:
        return Journey(trouble=f"the API's answer cannot be read ({type(error).__name__})")
