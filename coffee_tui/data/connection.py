"""Where the stack is: read again while it is not found, so that a dashboard may be there before its stack."""

import os
from collections.abc import Callable

from coffee_core.settings import Settings


class Attachment:
    """The addresses as they were read last."""

    def __init__(self, attach: Callable[[], Settings] = Settings.attach) -> None:
        """Read them. Raises ConfigError as ``Settings.attach`` does."""
        self._attach = attach
        self.settings = attach()
        """What is in force."""

    @classmethod
    def to(cls, settings: Settings) -> "Attachment":
        """Return an attachment that stays where it is."""
        return cls(lambda: settings)

    def reload(self) -> None:
        """Read them again. Raises ConfigError as ``Settings.attach`` does."""
        self.settings = self._attach()


def one_line(error: BaseException) -> str:
    """Return why a link is down, in the few words that a column has room for.

    The operating system's words where it has any, else the error's own.
    """
    number = _errno(error)
    if number is not None:
        return os.strerror(number).lower()
    text = str(error) or ("no answer in time" if isinstance(error, TimeoutError) else type(error).__name__)
    return " ".join(text.split())


def _errno(error: BaseException | None) -> int | None:
    # Client libraries wrap the operating system's error: aiohttp as os_error, redis-py as the context.
    while error is not None:
        number = getattr(getattr(error, "os_error", error), "errno", None)
        if isinstance(number, int) and number > 0:
            return number
        error = error.__cause__ or error.__context__
    return None
