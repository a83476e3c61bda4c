"""Every error that coffee-rt raises on purpose: one tree, each docstring the default message."""


class CoffeeError(Exception):
    """Something in coffee-rt went wrong."""

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or (type(self).__doc__ or "").strip())


class ConfigError(CoffeeError):
    """A setting has a value that cannot be used."""


class OrderError(CoffeeError):
    """An order field has a value that cannot be accepted."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(f"{field}: {reason}")
        self.field = field
        """Name of the offending field, as the client spells it."""
        self.reason = reason
        """What is wrong with it and what would be right, in words for the client."""


class StackError(CoffeeError):
    """A part of the embedded stack could not be started, stopped or found."""


# What can come of taking an order, beside that it was taken. No word of HTTP here.


class UnavailableError(CoffeeError):
    """The order certainly went nowhere: what it needs is not there."""


class OutcomeUnknownError(CoffeeError):
    """The order was sent and no answer came: it may have been stored, or not."""


class KeyConflictError(CoffeeError):
    """The message id was used before, for another order."""

    def __init__(self, message_id: object = "it") -> None:
        super().__init__(f"{message_id} was used for another order: a new order needs a new key")
