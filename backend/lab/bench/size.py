"""How much is measured: for how long, how often, at which rates."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Size:
    """The size of a run."""

    name: str
    rounds: int
    """Repetitions of everything that is repeated."""
    rates: tuple[int, ...] = (20, 200, 500, 1_000)
    """Orders a second into each pipeline."""
    load_s: float = 2.0
    """Seconds of one load."""
    load_orders: int = 0
    """Orders of a load on one pipeline alone, at least: else a p99 at a low rate is that of a few."""
    closed_s: float = 1.0
    """Seconds of one closed loop, and of one ceiling."""
    warm_s: float = 4.0
    """Seconds for which each pipeline takes orders before anything is measured."""
    warm_orders: int = 10_000
    """Orders that it takes as a backlog after that."""
    idle_s: float = 1.0
    """Seconds of looking at a stack without load."""
    ladder: tuple[int, ...] = (500, 1_500, 2_000, 3_000, 4_500)
    """Rates of the search for the breakpoint."""
    step_s: float = 1.5
    """Seconds of one step of it."""
    step_orders: int = 0
    """Orders of one step of it, at least."""
    preload: int = 100_000
    """Orders that wait while a worker is down."""
    drains: int = 1
    """How often they pile up and are drained; the first time finds a JVM that has never been in a hurry."""
    down_s: float = 0.0
    """Seconds for which it is down, at least."""
    catch_up: tuple[int, ...] = ()
    """Shares of the breakpoint, in percent, at which orders go on coming while a backlog is worked off."""
    backlog_s: float = 60.0
    """Seconds of orders that have piled up by then."""
    catch_up_within_s: float = 30.0
    """Seconds for which it is watched."""
    fault_s: float = 4.0
    """Seconds of load after each fault."""
    fault_rate: int = 200
    table_rows: int = 1_000_000
    """Rows of v1 that its aggregator counts."""
    table_rounds: int = 5
    """Repetitions of that: how late 1 order of 100 is beside a scan differs a lot from one to the next."""
    peer_rounds: int = 3
    """Repetitions of what is measured beside its peers."""
    peer_backlog: int = 50_000
    """Orders that wait there while a consumer is down."""
    other_stacks: bool = False
    """Whether is also measured what needs another stack: v3 with two slots, and the variants of a pipeline."""

    def load_s_at(self, rate_per_s: int) -> float:
        """Return the seconds of a load on one pipeline alone at this rate."""
        return max(self.load_s, self.load_orders / rate_per_s)

    def step_s_at(self, rate_per_s: int) -> float:
        """Return the seconds of a step of the search for the breakpoint at this rate."""
        return max(self.step_s, self.step_orders / rate_per_s)


QUICK = Size("quick", rounds=2, load_orders=100, step_orders=2_000)
FULL = Size(
    "full",
    rounds=5,
    load_s=12,
    load_orders=500,
    closed_s=5,
    warm_s=60,
    warm_orders=50_000,
    idle_s=10,
    ladder=(200, 500, 700, 1_000, 1_400, 2_000, 2_800, 4_000, 5_600, 8_000),
    step_s=8,
    preload=500_000,
    drains=2,
    down_s=60,
    catch_up=(50, 80, 95),
    fault_s=15,
    peer_rounds=5,
    peer_backlog=200_000,
    other_stacks=True,
)
TINY = Size(
    "tiny",
    rounds=1,
    rates=(20, 100),
    load_s=0.5,
    closed_s=0.2,
    warm_s=1,
    warm_orders=100,
    idle_s=0.5,
    ladder=(200,),
    step_s=0.5,
    preload=500,
    drains=2,
    down_s=0.5,
    catch_up=(50,),
    backlog_s=0.5,
    catch_up_within_s=1.0,
    fault_s=1.0,
    fault_rate=50,
    table_rows=10_000,
    table_rounds=1,
    peer_rounds=1,
    peer_backlog=3_000,
    other_stacks=True,
)
"""For the tests of the bench itself, with all that the full one does: its figures mean nothing."""
DECIDE = Size("decide", rounds=3, load_s=5, step_s=4, fault_s=6, warm_s=60)
"""What `coffee decide` takes; its rates are those of the question."""
SIZES = {size.name: size for size in (QUICK, FULL, TINY, DECIDE)}
