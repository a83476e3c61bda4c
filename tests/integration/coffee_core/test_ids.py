"""Message ids of processes that one was forked into."""

import subprocess
import sys

_FORK = """
import os
from coffee_core.ids import new_message_id
new_message_id()  # so that there is a stock to inherit
child = os.fork()
os.write(1, f"{new_message_id()}\\n".encode())  # in one piece: print() would write the end of the line apart
if child:
    os.waitpid(child, 0)
"""


def test_a_forked_process_makes_other_ids() -> None:
    # In a process of its own: this one may have threads, which do not go well with a fork.
    said = subprocess.run([sys.executable, "-c", _FORK], capture_output=True, text=True, check=True).stdout
    ours, theirs = said.split()
    assert ours[-17:] != theirs[-17:]
