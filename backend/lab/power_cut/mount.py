"""Mounts the file system that forgets, cuts it, and takes it away."""

import shutil
import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import Self
from uuid import uuid4

from backend.stack.log_files import text_since
from backend.stack.places import fuse_obstacle
from backend.stack.reason import reason_in
from coffee_core.children import child_environ, python_module
from coffee_core.errors import CoffeeError

_WITHIN_S = 30.0
_POLL_S = 0.02


class ForgetfulMount:
    """The file system, mounted on a fresh folder within ``parent``. Use it as a context manager.

    Entering raises CoffeeError where it cannot be mounted. ``seed``: of what was not synced, sectors reach the
    disk by chance.
    """

    def __init__(self, parent: Path, seed: int | None = None) -> None:
        self._folder = parent / f"coffee-forgetful-{uuid4().hex[:8]}"
        self._log = self._folder / "log"
        self._seed = seed
        self.path = self._folder / "mounted"
        """Where it is mounted."""
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        """Mount it, empty."""
        if obstacle := fuse_obstacle():
            raise CoffeeError(f"a power cut needs a file system that forgets: {obstacle}")
        (self._folder / "live").mkdir(mode=0o755, parents=True)
        self.path.mkdir()
        self._folder.chmod(0o755)
        try:
            self._mount()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Unmount it, and delete what it held."""
        try:
            self._unmount()
        finally:
            shutil.rmtree(self._folder)

    def cut(self) -> None:
        """Forget what was not synced; nobody may have a file open in it. Raises CoffeeError where somebody has."""
        self._unmount()
        self._mount()

    def _mount(self) -> None:
        seed = () if self._seed is None else (str(self._seed),)
        command = python_module("backend.lab.power_cut.forgetful", str(self._folder), str(self.path), *seed)
        with self._log.open("ab") as output:
            self._process = subprocess.Popen(
                command, env=child_environ(), stdin=subprocess.PIPE, stdout=output, stderr=output
            )
        deadline = time.monotonic() + _WITHIN_S
        while not self.path.is_mount():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise CoffeeError(f"the file system cannot be mounted: {self._last_words()}")
            time.sleep(_POLL_S)

    def _unmount(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        assert process.stdin is not None, "it was started with a pipe"
        process.stdin.close()  # at its end it unmounts, and what is left takes its place
        try:
            process.wait(_WITHIN_S)
        except subprocess.TimeoutExpired as error:
            process.kill()
            process.wait()
            raise CoffeeError(f"the file system on {self.path} does not end: something has it open") from error
        if process.returncode:
            raise CoffeeError(f"the file system has failed (exit code {process.returncode}): {self._last_words()}")

    def _last_words(self) -> str:
        return reason_in(text_since(self._log)) or "no reason given"
