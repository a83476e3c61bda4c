"""Prints for a daemon: a terminal that has gone must not end the stack in disorder."""

import os
import sys
from typing import TextIO


def say_to(stream: TextIO, text: str) -> None:
    """Print at once; where nobody reads the stream any more, this and all that follows goes nowhere."""
    try:
        stream.write(text)
        stream.flush()
    except OSError:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)


def say_line(text: str) -> None:
    """Print a line to stdout."""
    say_to(sys.stdout, f"{text}\n")
