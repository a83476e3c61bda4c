"""Standard output and standard error of a command: whatever they lead to, the command does its work.

A character that the terminal's encoding lacks is replaced. Where nobody reads any more (``| head -1``) the rest
goes nowhere. Where something cannot be written (a full disk), the command ends as it would, and then says so.
"""

import errno
import io
import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

_NOBODY_READS = (errno.EPIPE, errno.EIO)
"""Errors of a pipe without a reader, and of a terminal that has gone."""
_NO_TERMINAL = ("", "dumb", "unknown")


class _Descriptor(io.FileIO):
    """A descriptor of which no write fails: after the first that would, all goes nowhere."""

    def __init__(self, number: int) -> None:
        super().__init__(number, "w", closefd=False)
        self.error: OSError | None = None

    def write(self, data: "ReadableBuffer", /) -> int:
        try:
            return super().write(data)
        except OSError as error:
            self.error = self.error or error
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self.fileno())
            os.close(nowhere)
            return memoryview(data).nbytes


class Output:
    """Standard output and standard error, so that what is printed never raises."""

    def __init__(self, descriptors: tuple[_Descriptor, ...]) -> None:
        self._descriptors = descriptors

    @property
    def is_read(self) -> bool:
        """Whether somebody may still read standard output."""
        return not self._descriptors or self._descriptors[0].error is None

    def finish(self, program: str, code: int) -> int:
        """Write what is left; return the exit code: ``code``, or 1 where something could not be written."""
        if not self._descriptors:
            return code
        sys.stdout.flush()
        error = self._descriptors[0].error
        if error is None or error.errno in _NOBODY_READS:
            return code
        sys.stderr.write(f"{program}: what it printed could not be written: {error.strerror}\n")
        sys.stderr.flush()
        return code or 1


def protect_output() -> Output:
    """Replace ``sys.stdout`` and ``sys.stderr``, unless somebody else has done so (a test, a caller)."""
    closed = _open_closed_descriptors()
    if sys.stdout is not sys.__stdout__ or sys.stderr is not sys.__stderr__:
        return Output(())
    output, errors = _Descriptor(1), _Descriptor(2)
    if 1 in closed:
        output.error = OSError(errno.EPIPE, os.strerror(errno.EPIPE))
    sys.stdout, sys.stderr = _stream(output, sys.stdout), _stream(errors, sys.stderr)
    return Output((output, errors))


def has_terminal() -> bool:
    """Tell whether there is a terminal to draw in: all three streams are one, and it is not a dumb one."""
    drawable = os.environ.get("TERM", "") not in _NO_TERMINAL
    # Textual draws on standard error.
    return drawable and all(os.isatty(number) for number in range(3))


def _open_closed_descriptors() -> list[int]:
    """Lead what was closed (``>&-``) nowhere: the next file to be opened would be printed to.

    Return the numbers.
    """
    closed = []
    for number, flags in enumerate((os.O_RDONLY, os.O_WRONLY, os.O_WRONLY)):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, flags)  # gets the lowest number that is free
            os.set_inheritable(number, True)
            closed.append(number)
    return closed


def _stream(descriptor: _Descriptor, stream: io.TextIOBase | None) -> io.TextIOWrapper:
    encoding = getattr(stream, "encoding", None) or "utf-8"
    # Buffered by the line on terminals, as Python does it; standard error always.
    by_line = descriptor.isatty() or descriptor.fileno() == 2
    return io.TextIOWrapper(
        io.BufferedWriter(descriptor), encoding=encoding, errors="replace", line_buffering=by_line
    )
