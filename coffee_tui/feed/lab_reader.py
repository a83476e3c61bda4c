"""The API as the dashboard reads it: its own figures and what it says of the stack."""

from typing import TYPE_CHECKING

from coffee_tui.feed.readings import LabReading, ReadingError, parse_lab

if TYPE_CHECKING:
    from aiohttp import ClientSession

_TIMEOUT_S = 2.0


async def read_lab(session: "ClientSession", api_url: str) -> LabReading:
    """GET the API's account of itself.

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
