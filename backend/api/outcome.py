"""What can come of taking an order, beside that it was taken. No word of HTTP here."""

from coffee_core.errors import CoffeeError


class UnavailableError(CoffeeError):
    """The order certainly went nowhere: what it needs is not there."""


class OutcomeUnknownError(CoffeeError):
    """The order was sent and no answer came: it may have been stored, or not."""


class KeyConflictError(CoffeeError):
    """The message id was used before, for another order."""

    def __init__(self, message_id: object = "it") -> None:
        super().__init__(f"{message_id} was used for another order: a new order needs a new key")
