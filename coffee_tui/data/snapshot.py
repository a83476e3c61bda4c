"""What the dashboard shows at one moment: frozen values, compared by equality, so that an idle panel is free."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum

from coffee_core.pipelines import DEFAULT_PIPELINES, Pipeline
from coffee_core.totals import PipelineCounts
from coffee_tui.data.load_plan import LoadPlan


class Health(StrEnum):
    """How something stands, in the five ways that the screen distinguishes."""

    GOOD = "up"
    """It does its work."""
    STARTING = "starting"
    """It is on its way up."""
    WAITING = "waiting"
    """It waits for something else."""
    BROKEN = "down"
    """It should work and does not."""
    UNKNOWN = "unknown"
    """Nobody knows."""


@dataclass(frozen=True, slots=True)
class PartView:
    """One part of the stack."""

    name: str
    """Process name, as in the Procfile, or the name of the dependency."""
    health: Health
    """How it stands."""
    word: str
    """Its state in one word, as the stack calls it."""
    detail: str = ""
    """One line more, may be empty."""
    since_us: int = 0
    """Since when: microseconds since the epoch; 0 where not known."""

    @property
    def good(self) -> bool:
        """Whether it does its work."""
        return self.health is Health.GOOD


@dataclass(frozen=True, slots=True)
class Link:
    """The dashboard's own connection to a source."""

    up: bool | None = None
    """None until the first try has ended."""
    since_us: int = 0
    """Since when: microseconds since the epoch."""
    detail: str = ""
    """Why it is down, in one line."""


@dataclass(frozen=True, slots=True)
class Quantiles:
    """Two quantiles of a latency."""

    p50_us: float | None = None
    """Median in µs; None where nothing was measured."""
    p99_us: float | None = None
    """99th percentile in µs; None where nothing was measured."""


class Mood(StrEnum):
    """How a status line is meant."""

    GOOD = "good"
    CALM = "calm"
    BUSY = "busy"
    BROKEN = "broken"


@dataclass(frozen=True, slots=True)
class StatusLine:
    """The last line of a column: a sentence."""

    text: str
    """The sentence."""
    mood: Mood = Mood.CALM
    """How it is meant; shown as a glyph and a colour."""
    cure: str = ""
    """What to do about it, where somebody knows: of a standstill."""

    @property
    def whole(self) -> str:
        """The sentence and the cure in one line."""
        return f"{self.text} – {self.cure}" if self.cure else self.text


@dataclass(frozen=True, slots=True)
class Stage:
    """One link of a pipeline's chain."""

    label: str
    """As the pipeline declares it."""
    health: Health
    """How it stands."""
    rate: float | None = None
    """Orders per second on the link to the next one; None where not known, or where there is no next."""
    waiting: int | None = None
    """Orders that wait on that link; None where nothing waits there or nobody knows."""


@dataclass(frozen=True, slots=True)
class CostView:
    """What processes cost, rounded as it is shown, so that nothing is drawn for a digit that nobody sees."""

    name: str
    """Whose."""
    percent: int | None
    """Processor time in per cent of a core; None until it has been measured over a while."""
    megabytes: int
    """Resident memory in MB, three digits of it."""


@dataclass(frozen=True, slots=True)
class PartCost:
    """What one part costs, rounded as it is shown."""

    name: str
    """Process name, as in the Procfile."""
    serves: str = ""
    """The one pipeline that it runs for; empty where several share it."""
    percent: int | None = None
    """Processor time in per cent of a core; None until it has been measured over a while."""
    rest_percent: int | None = None
    """The same while no order came; None where that has not been seen."""
    us_per_order: int | None = None
    """What an order that passes costs beyond that: µs of processor time; None where not known."""
    megabytes: int = 0
    """Resident memory in MB."""


@dataclass(frozen=True, slots=True)
class PipelineView:
    """One column."""

    pipeline: Pipeline
    """Whose."""
    orders: int | None = None
    """Orders shown in Redis; None until it has been read once."""
    revenue_cents: int = 0
    """Revenue shown, in cents."""
    drinks: tuple[tuple[str, int], ...] = ()
    """(drink, orders) in the order of the menu."""
    stores: tuple[tuple[str, int], ...] = ()
    """(store, orders) in the order of the menu."""
    rate: float | None = None
    """Orders that became visible, per second."""
    api: Quantiles = Quantiles()
    """Latency of the API's answers."""
    dashboard: Quantiles = Quantiles()
    """From the API's acceptance of an order to its being visible in Redis."""
    rate_history: tuple[float | None, ...] = ()
    """Orders per second, one value a second, oldest first."""
    api_history: tuple[float | None, ...] = ()
    """p99 in µs, one value a second, oldest first."""
    dashboard_history: tuple[float | None, ...] = ()
    """p99 in µs, one value a second, oldest first."""
    stalled_s: int | None = None
    """Whole seconds since an order was accepted without any becoming visible; None where that is normal."""
    chain: tuple[Stage, ...] = ()
    """The parts that an order passes."""
    status_line: StatusLine = field(default=StatusLine("reading …"), metadata={"json_key": "sentence"})
    """How the pipeline stands, in a sentence. ``--json`` and recordings call it ``sentence``, which stays."""
    counts: PipelineCounts | None = field(default=None, metadata={"json_key": "account"})
    """What became of its orders; None where the API does not know. Its JSON key ``account`` stays."""
    cost: CostView | None = None
    """Its own processes; None where nobody knows."""
    counts_age_s: int | None = None
    """Whole seconds by which the counts are older than the totals; None where they are of one moment."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The whole dashboard at one moment."""

    pipelines: tuple[PipelineView, ...] = tuple(PipelineView(pipeline) for pipeline in DEFAULT_PIPELINES)
    """One view for each pipeline, by version."""
    redis: Link = Link()
    """The dashboard's connection to Redis."""
    api: Link = Link()
    """The dashboard's connection to the API."""
    mode: str = "connecting"
    """How the dashboard learns of changes: ``live`` (keyspace notifications) or ``polling every 1 s``."""
    parts: tuple[PartView, ...] = ()
    """Every part that is known of."""
    uptime_s: int | None = None
    """Seconds that the API has been up; None where it does not answer."""
    durability: str = ""
    """The notch of the durability dial and what differs from it; empty where all is as by default."""
    fault: str = ""
    """The fault on purpose whose effect is felt now; empty where there is none."""
    faults: tuple[bool, ...] = ()
    """Whether one was felt, one value a second, oldest first, in step with the columns' histories."""

    shared: tuple[CostView, ...] = ()
    """Processes that serve every pipeline; empty where nobody knows."""
    costs: tuple[PartCost, ...] = ()
    """Each part that the API knows the processes of; empty where it knows none."""

    @property
    def coming_up(self) -> bool:
        """Whether parts are known of and one of them is not up yet."""
        return any(not part.good for part in self.parts)


@dataclass(frozen=True, slots=True)
class KeyOrder:
    """The last order that a key has sent into a pipeline."""

    pipeline: Pipeline
    """Where it went."""
    what: str
    """The order in words."""
    outcome: str = ""
    """What became of it, as ``coffee_core.load.statistics.Outcome``; empty while it is on its way."""
    status: int | None = None
    """HTTP status, where there was an answer."""
    reason: str = ""
    """Why it was not acknowledged."""
    latency_us: int = 0
    """How long the answer took, in µs."""


@dataclass(frozen=True, slots=True)
class OrdersView:
    """The order panel at one moment, compared by equality like a snapshot."""

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
    """Why there is no load although it was asked for; empty where there is load or none was asked for."""
    keys: tuple[KeyOrder, ...] = ()
    """The last order by key of each pipeline that had one."""


def largest_count(views: Iterable[PipelineView]) -> int:
    """Return the end of the one scale of all bars: the largest count of any drink or store, rounded up.

    Rounded to two digits, so that a bar does not shrink a little with every order elsewhere.
    """
    largest = max((count for view in views for _, count in (*view.drinks, *view.stores)), default=1)
    step = 10 ** max(0, len(str(largest)) - 2)
    return int(max(1, -(-largest // step) * step))


def largest_rate(views: Iterable[PipelineView]) -> float:
    """Return the end of the one scale of all rates, orders per second: the largest in any history, rounded up."""
    largest = max([1.0, *(rate for view in views for rate in view.rate_history if rate is not None)])
    step = 10 ** max(0, len(str(int(largest))) - 2)
    return float(-(-largest // step) * step)
