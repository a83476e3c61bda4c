"""The pipelines that run here, as the API serves them, and the connections that they need."""

from backend.clients.connections import Connections
from backend.pipelines.live import LiveLog
from backend.pipelines.operations import Ingest, operations_of
from backend.pipelines.status import Lookup
from backend.pipelines.windows import WindowsSource
from coffee_core.pipelines import PIPELINES, Pipeline
from coffee_core.settings import Settings


class RunningPipelines(Connections):
    """The ingests, lookups, windows and logs of this API's pipelines, on its connections."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self.ingests: dict[Pipeline, Ingest] = {}
        """Ingest of each pipeline that runs here."""
        self.lookups: dict[Pipeline, Lookup] = {}
        """Lookup of the state of an order, for each pipeline that runs here."""
        self.windows: dict[Pipeline, WindowsSource | None] = {}
        """Source of the windows of each pipeline that runs here; None where it keeps none."""
        for pipeline in settings.pipelines:
            operations = operations_of(pipeline)
            self.ingests[pipeline] = operations.open_ingest(self)
            self.lookups[pipeline] = operations.open_lookup(self)
            self.windows[pipeline] = operations.open_windows(self)
        self.live_logs: dict[Pipeline, LiveLog] = {
            pipeline: operations_of(pipeline).open_live_log(settings, runs_here=pipeline in settings.pipelines)
            for pipeline in PIPELINES
        }
        """Reader of the log of every pipeline, also of those that do not run here."""
