"""Where the stack is: read again while it is not found, so that a dashboard may be there before its stack."""

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

    def look_again(self) -> None:
        """Read them again. Raises ConfigError as ``Settings.attach`` does."""
        self.settings = self._attach()
