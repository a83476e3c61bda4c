"""The jobs as Flink's client plans them, kept on disk.

To plan one takes a JVM and many seconds; a plan that is there can be submitted at once, as often as it is needed.
"""

import asyncio
import logging
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

from coffee_core.settings import Settings
from flink.client import SubmitError, plan
from flink.fingerprint import fingerprint

_GENTLY = 10
_AGAIN_AFTER_S = 30.0
log = logging.getLogger("flink.submit")


class Plans:
    """The plans of one home: each kind is kept once, in its latest form. Its methods raise SubmitError."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._folder = settings.home / "flink" / "plans"
        self._one_client = asyncio.Lock()
        self._ahead: asyncio.Task[None] | None = None
        self._ahead_of: str | None = None
        """Epoch that is planned ahead."""

    async def orders(self, epoch: str, restore: str | None = None, niceness: int = 0) -> Path:
        """Return the plan of an epoch's job, which starts from nothing or from the checkpoint at this URI."""
        arguments = ["-m", "flink.job", "--epoch", epoch]
        if restore is not None:
            arguments += ["--restore", restore]
        return await self._get("restored" if restore else "orders", arguments, niceness)

    async def warm_up(self, slots: int) -> Path:
        """Return the plan of the job that warms this many slots."""
        return await self._get(f"warm-{slots}", ["-m", "flink.warm", "--slots", str(slots)], _GENTLY)

    def make_ahead(self, epoch: str, restore: str) -> None:
        """See to it, in the background, that the job could be restored from this URI without a client."""
        if not self.is_ahead(epoch) and (self._ahead is None or self._ahead.done()):
            self._ahead = asyncio.create_task(self._make_ahead(epoch, restore))

    def is_ahead(self, epoch: str) -> bool:
        """Tell whether the job of this epoch could be restored without a client."""
        return self._ahead_of == epoch

    async def close(self) -> None:
        """End what is planned in the background."""
        if self._ahead is not None:
            self._ahead.cancel()
            await asyncio.gather(self._ahead, return_exceptions=True)

    async def _make_ahead(self, epoch: str, restore: str) -> None:
        try:
            await self.orders(epoch, restore, _GENTLY)
        except SubmitError as error:
            log.warning("the job cannot be planned ahead of its next start: %s", error)
            await asyncio.sleep(_AGAIN_AFTER_S)
        else:
            self._ahead_of = epoch

    async def _get(self, kind: str, arguments: Sequence[str], niceness: int) -> Path:
        path = self._folder / f"{kind}-{await asyncio.to_thread(fingerprint, self._settings, arguments)}.plan"
        if not path.exists():
            async with self._one_client:
                if not path.exists():
                    log.info("planning: %s", " ".join(arguments[1:]))
                    await asyncio.to_thread(_keep, path, kind, await plan(arguments, niceness))
        return path


def _keep(path: Path, kind: str, body: bytes) -> None:
    """Write a plan as a whole, readable by its owner alone (it has passwords), and remove its predecessors."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(body)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    for old in path.parent.glob(f"{kind}-*.plan"):
        if old != path:
            old.unlink()
