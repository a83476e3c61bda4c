"""The pipelines that run here, as the API serves them, and the connections that they need."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from backend.clients.connections import Connections
from backend.pipelines.lag import LagSource
from backend.pipelines.live import LiveLog
from backend.pipelines.operations import Ingest, operations_of
from backend.pipelines.status import Lookup
from backend.pipelines.windows import WindowsSource
from backend.pipelines.xray import XRay
from coffee_core.pipelines import PIPELINES, Pipeline
from coffee_core.settings import Settings


class RunningPipelines(Connections):
    """The ingests, lookups, windows, lags and logs of this API's pipelines, on its connections."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self.ingests: dict[Pipeline, Ingest] = {}
        """Ingest of each pipeline that runs here."""
        self.lookups: dict[Pipeline, Lookup] = {}
        """Lookup of the state of an order, for each pipeline that runs here."""
        self.windows: dict[Pipeline, WindowsSource | None] = {}
        """Source of the windows of each pipeline that runs here; None where it keeps none."""
        self.lags: dict[Pipeline, LagSource | None] = {}
        """Source of the lags of each pipeline that runs here; None where its rows are its log."""
        self.xrays: dict[Pipeline, XRay] = {}
        """Where the way of an order is asked for, of each pipeline that runs here."""
        for pipeline in settings.pipelines:
            operations = operations_of(pipeline)
            self.ingests[pipeline] = operations.open_ingest(self)
            self.lookups[pipeline] = operations.open_lookup(self)
            self.windows[pipeline] = operations.open_windows(self)
            self.lags[pipeline] = operations.open_lag(self)
            self.xrays[pipeline] = operations.open_xray(self)
        self.live_logs: dict[Pipeline, LiveLog] = {
            pipeline: operations_of(pipeline).open_live_log(settings, runs_here=pipeline in settings.pipelines)
            for pipeline in PIPELINES
        }
        """Reader of the log of every pipeline, also of those that do not run here."""

    @asynccontextmanager
    async def closing_lags(self) -> AsyncIterator[None]:
        """Close what was opened to read lags after the block."""
        try:
            yield
        finally:
            for source in self.lags.values():
                if source is not None:
                    await source.close()
