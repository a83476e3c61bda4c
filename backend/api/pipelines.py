"""The pipelines that run here, as the API serves them, and the connections they stand on."""

from backend.clients.connections import Connections
from backend.pipelines.live import LiveLog
from backend.pipelines.operations import Ingest, operations_of
from backend.pipelines.status import Lookup
from backend.pipelines.windows import WindowsSource
from coffee_core.pipelines import PIPELINES, Pipeline
from coffee_core.settings import Settings


class RunningPipelines(Connections):
    """What the pipelines of this API stand on."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self.ingests: dict[Pipeline, Ingest] = {}
        """Where the orders of each pipeline go; only pipelines that run here are there."""
        self.lookups: dict[Pipeline, Lookup] = {}
        """Where to ask what has become of an order."""
        self.windows: dict[Pipeline, WindowsSource | None] = {}
        """Where the windows of each pipeline are; None of one that keeps none."""
        for pipeline in settings.pipelines:
            operations = operations_of(pipeline)
            self.ingests[pipeline] = operations.open_ingest(self)
            self.lookups[pipeline] = operations.open_lookup(self)
            self.windows[pipeline] = operations.open_windows(self)
        self.live_logs: dict[Pipeline, LiveLog] = {
            pipeline: operations_of(pipeline).open_live_log(settings, runs_here=pipeline in settings.pipelines)
            for pipeline in PIPELINES
        }
        """What the log of every pipeline says, also of those that do not run here."""
