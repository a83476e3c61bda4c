"""Priority of processes where Linux shares the processor among sessions before it does among their processes."""

import contextlib
import os
from pathlib import Path


def lower_session_priority(pid: int, niceness: int) -> None:
    """Tell Linux that the session which this process leads comes after others, as ``niceness`` (1 to 19) says.

    A Linux with ``kernel.sched_autogroup_enabled``, as most have it, gives each session the same share of a
    processor, and niceness counts within one alone. All parts of the stack and all processes of PostgreSQL are
    sessions of their own: of two that were busy on one processor, one at nice 10, each got half; told so, that one
    got a seventh. Nothing is done where the process leads no session: others would step back with it.
    """
    # macOS has no such file; Linux lets nobody but root change others, and takes few changes at a time.
    with contextlib.suppress(OSError):
        if os.getsid(pid) == pid:
            Path(f"/proc/{pid}/autogroup").write_text(f"{niceness}", encoding="ascii")
