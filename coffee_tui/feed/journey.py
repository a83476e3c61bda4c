"""What has become of one order: the API is asked, which asks the systems that it passes."""

from dataclasses import dataclass, replace

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
    stored_by_us: int | None = None
    """When it was first seen stored: microseconds since the epoch; None where nobody saw it before and after."""
    shown_by_us: int | None = None
    """The same of its being shown."""

    def since(self, before: "Journey | None", now_us: int) -> "Journey":
        """Return this answer with the times at which what it says was first seen, given the answer before it."""
        if before is None:
            return self
        return replace(
            self,
            stored_by_us=_seen(before.stored, before.stored_by_us, self.stored, now_us),
            shown_by_us=_seen(before.shown, before.shown_by_us, self.shown, now_us),
        )


def _seen(before: bool | None, by_us: int | None, now: bool | None, now_us: int) -> int | None:
    if not now:
        return None
    return now_us if before is False else by_us


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
