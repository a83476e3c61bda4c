"""``python -m backend.stack.fetch GROUP FOLDER``: one group of the lock's jars, verified, into a folder.

For those who build an image: nothing else of the stack is needed for it.
"""

import shutil
import sys
import tempfile
from pathlib import Path

from backend.stack.jars import ensure_files, read_lock
from coffee_core.errors import StackError

_ARGUMENTS = 2


def main(arguments: list[str]) -> int:
    """Return the exit code: 0, 1 where a jar could not be had, 2 for a wrong call."""
    groups = read_lock()
    if len(arguments) != _ARGUMENTS or arguments[0] not in groups or not Path(arguments[1]).is_dir():
        sys.stderr.write(f"usage: python -m backend.stack.fetch {'|'.join(groups)} FOLDER\n")
        return 2
    jars, folder = groups[arguments[0]], Path(arguments[1])
    with tempfile.TemporaryDirectory() as scratch:
        try:
            ensure_files(list(jars), Path(scratch))
        except StackError as error:
            sys.stderr.write(f"cannot fetch the jars: {error}\n")
            return 1
        for jar in jars:
            shutil.copyfile(Path(scratch) / jar.file_name, folder / jar.file_name)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
