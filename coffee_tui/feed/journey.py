"""What has become of one order: the API is asked, which asks the systems that it passes."""

from dataclasses import dataclass

from coffee_core.settings import Settings
from coffee_tui.feed.journal import SentOrder
from coffee_tui.feed.reasons import one_line

_TIMEOUT_S = 2.0


@dataclass(frozen=True, slots=True)
class Journey:
    """Where an order is; None is what cannot be known."""

    stored: bool | None = None
    """Whether it is a row in PostgreSQL."""
    shown: bool | None = None
    """Whether the totals in Redis contain it."""
    trouble: str = ""
    """Why nothing is known; empty where something is."""


async def ask(settings: Settings, order: SentOrder) -> Journey:
    """GET what has become of an order; every failure is said, none is raised."""
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
            return Journey(body["stored"], body["shown"])
    except (ClientError, OSError, TimeoutError) as error:
        return Journey(trouble=one_line(error))
    except (KeyError, TypeError, ValueError) as error:
        return Journey(trouble=f"the API's answer cannot be read ({type(error).__name__})")
