"""A terminal of our own: a pseudo-terminal with a program in it, and what stands on its screen."""

import fcntl
import os
import pty
import signal
import struct
import subprocess
import termios
import threading
from collections.abc import Mapping, Sequence

import pyte


class Terminal:
    """A program in a terminal that can be read, typed into, and torn away."""

    def __init__(self, argv: Sequence[str], env: Mapping[str, str], columns: int = 168, lines: int = 44) -> None:
        self._screen = pyte.Screen(columns, lines)
        self._lock = threading.Lock()
        self._master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
        self.process = subprocess.Popen(
            argv,
            env={**env, "TERM": "xterm-256color", "COLORTERM": "truecolor"},
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
            # The slave becomes the controlling terminal, so that a hang-up reaches the program.
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )
        os.close(slave)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        stream = pyte.ByteStream(self._screen)
        while True:
            try:
                data = os.read(self._master, 65_536)
            except OSError:  # the other side, or this one, has been closed
                return
            if not data:
                return
            with self._lock:
                stream.feed(data)

    @property
    def text(self) -> str:
        """What stands on the screen now."""
        with self._lock:
            return "\n".join(self._screen.display)

    def type(self, keys: str) -> None:
        """Type keys."""
        os.write(self._master, keys.encode())

    def tear_away(self) -> None:
        """Kill the session's leader and close the terminal, as a closed window does."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        self.close()

    def close(self) -> None:
        """Close the terminal; the program is hung up on."""
        if self._master >= 0:
            # A read that is under way keeps the terminal open: the hang-up comes when the program's side is gone.
            os.close(self._master)
            self._master = -1
