"""What a run says while it goes on: a sentence for people, and beside it facts for a program that follows it."""

from typing import Protocol


class Say(Protocol):
    """Takes one line of progress; never blocks."""

    def __call__(self, text: str, **facts: object) -> None:
        """Take a sentence.

        Facts are plain values: ``moment`` (``struck`` with ``lasts_s``, ``over``), or ``pipeline`` with
        ``visible_again_s`` once its orders are visible again, or ``cell``, one pipeline's verdict.
        """
        ...
