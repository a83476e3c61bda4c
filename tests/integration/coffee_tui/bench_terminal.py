"""A terminal of a bench's own: the dashboard runs in it as a process, measured from outside."""

import os
import pty
import struct
import sys
import termios
import threading
import time
from collections.abc import Sequence
from fcntl import ioctl

import psutil


class BenchTerminal:
    """Runs a program until it is closed; reads what it writes, and when."""

    def __init__(self, arguments: Sequence[str], cells: int, rows: int) -> None:
        self._pid, self._end = pty.fork()
        if self._pid == 0:
            os.environ |= {"TERM": "xterm-256color", "COLORTERM": "truecolor"}
            os.execv(sys.executable, [sys.executable, *arguments])
        ioctl(self._end, termios.TIOCSWINSZ, struct.pack("HHHH", rows, cells, 0, 0))
        self.process = psutil.Process(self._pid)
        self.written = bytearray()
        """Everything that it has written."""
        self._news = threading.Condition()
        self._last_s = time.monotonic()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        try:
            while chunk := os.read(self._end, 1 << 16):
                with self._news:
                    self.written += chunk
                    self._last_s = time.monotonic()
                    self._news.notify_all()
        except OSError:
            return  # the terminal is closed

    def cost(self, span_s: float) -> dict[str, float]:
        """Return per cent of a core, kB/s written and MB of memory over a span."""
        before, written, began_s = self.process.cpu_times(), len(self.written), time.monotonic()
        time.sleep(span_s)
        after, took_s = self.process.cpu_times(), time.monotonic() - began_s
        used_s = after.user + after.system - before.user - before.system
        return {
            "cpu_percent": round(100 * used_s / took_s, 2),
            "written_kB_s": round((len(self.written) - written) / took_s / 1e3, 1),
            "memory_MB": round(self.process.memory_info().rss / 1e6, 1),
        }

    def press(self, key: bytes) -> None:
        """Press a key."""
        os.write(self._end, key)

    def until(self, words: bytes, within_s: float = 5.0) -> float:
        """Return the seconds until something is written from now on; any output where ``words`` is empty."""
        began_s, start = time.monotonic(), len(self.written)
        with self._news:
            found = self._news.wait_for(
                lambda: words in self.written[start:] if words else len(self.written) > start, within_s
            )
            if not found:
                raise TimeoutError(f"not within {within_s} s: {words!r}")
            return self._last_s - began_s

    def close(self) -> None:
        """End the program."""
        self.press(b"q")
        os.waitpid(self._pid, 0)
        os.close(self._end)
