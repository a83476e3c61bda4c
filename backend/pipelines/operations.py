"""What a pipeline does, as the API and the commands see it: its ``PipelineOperations``, found by its name.

They are the ``OPERATIONS`` of the module ``operations`` in the pipeline's package. Their methods import what they
need when they are called: whoever audits v1 loads no Kafka.
"""

from __future__ import annotations

import importlib
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, ClassVar, Protocol

from coffee_core.errors import CoffeeError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence
    from collections.abc import Set as AbstractSet
    from contextlib import AsyncExitStack
    from uuid import UUID

    from backend.clients.connections import Connections
    from backend.clients.health import Health
    from backend.clients.servers import Servers
    from backend.pipelines.balance import Balance
    from backend.pipelines.dead_letters import Letter
    from backend.pipelines.lag import LagSource
    from backend.pipelines.live import LiveLog
    from backend.pipelines.repair import Mended, Progress, Replay, Savepoint
    from backend.pipelines.standstill import StandstillWatch
    from backend.pipelines.status import Lookup
    from backend.pipelines.windows import WindowsSource
    from backend.pipelines.xray import RowXRay, XRay
    from coffee_core.order import Order
    from coffee_core.pipelines import Pipeline
    from coffee_core.settings import Settings


class UnsupportedError(CoffeeError):
    """The pipeline has no such repair."""


class Ingest(Protocol):
    """Where the orders of one pipeline go."""

    @property
    def health(self) -> Health:
        """The dependency without which it takes nothing."""

    async def submit(self, order: Order, keyed: bool) -> None:
        """Return when the order is durable; with ``keyed`` the client may repeat its message id.

        Raises UnavailableError, OutcomeUnknownError or KeyConflictError.
        """

    async def submit_all(self, orders: Sequence[Order], keyed: AbstractSet[UUID]) -> None:
        """Return when all of these are durable; no two have the same message id. Else none is; raises the same.

        ``keyed`` are the message ids that the client may repeat.
        """


class PipelineOperations(ABC):
    """What one pipeline does: an implementation lies in the pipeline's package."""

    pipeline: ClassVar[Pipeline]

    # The API.

    @abstractmethod
    def open_ingest(self, connections: Connections) -> Ingest:
        """Return what makes an order durable before it is acknowledged."""

    @abstractmethod
    def open_lookup(self, connections: Connections) -> Lookup:
        """Return where to ask what has become of an order."""

    def open_windows(self, connections: Connections) -> WindowsSource | None:  # noqa: ARG002
        """Return where to ask for windows; None of a pipeline that keeps none."""
        return None

    def open_xray(self, connections: Connections) -> XRay:
        """Return where to ask for the way of an order; unless overridden, the request, the row and the keys."""
        from backend.pipelines.xray import RowXRay

        return self._open_xray(connections, RowXRay)

    def _open_xray(self, connections: Connections, kind: Callable[..., RowXRay]) -> RowXRay:
        token = bool(connections.settings.api_token)
        return kind(connections.postgres, connections.redis, self.pipeline, token=token)

    def open_lag(self, connections: Connections) -> LagSource | None:  # noqa: ARG002
        """Return where to ask how far its consumers are behind; None of a pipeline whose rows are its log."""
        return None

    def open_live_log(self, settings: Settings, *, runs_here: bool) -> LiveLog:  # noqa: ARG002
        """Return the log for the live audit; unless overridden, the rows are the log.

        The live audit counts the rows of a pipeline that does not run here, too: ``runs_here`` is False then.
        """
        from backend.pipelines.live import LiveLog

        return LiveLog()

    def open_standstill_watch(self, connections: Connections) -> StandstillWatch:
        """Return where to look whether accepted orders wait and nobody works on them, and why.

        Unless overridden: what the processor reports, and orders that were counted while it finished none.
        """
        from backend.pipelines.standstill import ReportedWatch

        return ReportedWatch(connections.redis, self.pipeline)

    # The audit and the repairs of the command line. They raise UnreachableError where a server cannot be reached,
    # and CoffeeError where one refuses.

    @abstractmethod
    async def open_audit(
        self, stack: AsyncExitStack, servers: Servers, *, unique_timestamps: bool, deep: bool
    ) -> Callable[[], Awaitable[Balance]]:
        """Return what takes the balance, as often as it is called; ``stack`` closes what it opens.

        With ``unique_timestamps`` the same order under two ids is a duplicate; ``deep`` compares ids one by one.
        """

    async def reconcile(self, settings: Settings, settle_s: float) -> Mended:  # noqa: ARG002
        """Bring the metrics back to what PostgreSQL holds; a difference may settle for ``settle_s`` seconds."""
        raise UnsupportedError(f"{self.pipeline} cannot be reconciled")

    async def replay(self, settings: Settings, progress: Progress) -> Replay:  # noqa: ARG002
        """Go through the log again and end on the same numbers."""
        raise UnsupportedError(f"{self.pipeline} has no log to replay")

    async def begin_new_balance(self, settings: Settings) -> int:  # noqa: ARG002
        """Take what a lost log does not account for as given; return how many orders that are."""
        raise UnsupportedError(f"{self.pipeline} has no log that could be lost without its rows")

    async def take_savepoint(self, settings: Settings, *, stop: bool) -> Savepoint:  # noqa: ARG002
        """Save the processor's whole state; with ``stop`` end it there."""
        raise UnsupportedError(f"{self.pipeline} keeps no state of which a savepoint could be taken")

    async def settle_dead_letters(
        self,
        settings: Settings,  # noqa: ARG002
        ids: tuple[str, ...],  # noqa: ARG002
        action: str | None,  # noqa: ARG002
        repairs: Mapping[str, str],  # noqa: ARG002
    ) -> list[tuple[Letter, str]]:
        """Return the chosen letters (all, without ids) and what became of each: '' where they were only listed.

        ``action`` is None, ``requeue`` or ``drop``; ``repairs`` are fields to change on the way back. Raises
        LetterError for an id that is not there.
        """
        raise UnsupportedError(f"{self.pipeline} has no dead letters: it refuses what it cannot store")


def operations_of(pipeline: Pipeline) -> PipelineOperations:
    """Return the backend of a pipeline; its package is imported at the first call."""
    backend: PipelineOperations = importlib.import_module(f"{pipeline.info.package}.operations").OPERATIONS
    return backend
