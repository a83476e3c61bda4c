"""What the order panel shows: a frozen value, compared by equality."""

from dataclasses import dataclass

from coffee_core.pipelines import Pipeline
from coffee_tui.feed.load_plan import LoadPlan


@dataclass(frozen=True, slots=True)
class KeyOrder:
    """The last order that a key has sent into a pipeline."""

    pipeline: Pipeline
    """Where it went."""
    what: str
    """The order in words."""
    outcome: str = ""
    """What became of it, as ``coffee_core.load.outcome.Outcome``; empty while it is on its way."""
    status: int | None = None
    """HTTP status, where there was an answer."""
    reason: str = ""
    """Why it was not acknowledged."""
    latency_us: int = 0
    """How long the answer took, in µs."""


@dataclass(frozen=True, slots=True)
class OrdersView:
    """The order panel at one moment."""

    plan: LoadPlan = LoadPlan()
    """What load is wanted."""
    running: bool = False
    """Whether load is on."""
    offered_per_s: float = 0.0
    """Orders meant to be sent per second, over all pipelines, lately."""
    answered_per_s: float = 0.0
    """Requests that ended per second, over all pipelines, lately."""
    sent: int = 0
    """Requests begun since the start of the dashboard."""
    acknowledged: int = 0
    """Requests answered with 2xx."""
    refused: int = 0
    """Requests that are certainly nowhere: 503 or no connection."""
    rejected: int = 0
    """Requests answered with 4xx, which is what malformed orders want."""
    unknown: int = 0
    """Requests whose outcome is not known."""
    late: int = 0
    """Requests begun later than intended: the generator could not keep up."""
    in_flight: int = 0
    """Requests begun and not ended."""
    burst: str = ""
    """The last burst in words; empty before the first."""
    trouble: str = ""
    """Why there is no load although it was asked for; empty where there is nothing to say."""
    keys: tuple[KeyOrder, ...] = ()
    """The last order by key of each pipeline that had one."""
