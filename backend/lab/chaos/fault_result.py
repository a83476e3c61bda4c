"""What one fault did to one pipeline, and the table of several."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from backend.lab.chaos.comparison import Verdict
from backend.pipelines.balance import is_zero
from coffee_core.pipelines import Pipeline
from coffee_core.totals import Totals

_COLUMNS = (
    "fault",
    "pipeline",
    "accepted",
    "lost",
    "duplicated",
    "drift",
    "refused",
    "unknown",
    "visible again",
    "standstill",
)


@dataclass(frozen=True, slots=True)
class FaultResult:
    """What one fault did to one pipeline."""

    fault: str
    pipeline: Pipeline
    verdict: Verdict
    drift: Totals
    """Shown minus stored, over the whole pipeline, once it was quiet."""
    visible_s: float | None
    """Seconds from the fault until an order from after it was visible; None: never while it was watched."""
    wrong: tuple[str, ...] = ()
    """What else is wrong, in sentences."""
    notes: tuple[str, ...] = ()
    """Other remarks, in sentences."""
    problem: str = ""
    """What did not come back after the fault, in a sentence that is among the wrong, too; empty where all did."""
    audited_lost: int = 0
    """Orders that are lost at most, by the pipeline's own audit: those that it misses, and those of acknowledged
    records that a log has lost with its end."""
    still_s: float = 0.0
    """Longest time after the fault in which nothing new was visible, in seconds, under load."""
    evidence: Path | None = None
    """Folder of its history; None where none is kept."""

    @property
    def exact(self) -> bool:
        """Not one order lost, doubled or adrift, and nothing else wrong."""
        return self.verdict.exact and is_zero(self.drift) and not self.wrong

    def kinds(self) -> frozenset[str]:
        """Return what kinds of wrong there are: of orders, or else ``other``; none where it is exact."""
        of_orders = {
            "lost": self.verdict.lost,
            "duplicated": self.verdict.duplicated,
            "unexplained": self.verdict.unexplained,
            "rejected": self.verdict.rejected,
            "drift": not is_zero(self.drift),
        }
        found = frozenset(kind for kind, is_there in of_orders.items() if is_there)
        return found or frozenset(() if self.exact else ("other",))

    def row(self) -> tuple[str, ...]:
        """Return its row of the table."""
        verdict, orders, cents = self.verdict, self.drift.orders, self.drift.revenue_cents
        return (
            self.fault,
            self.pipeline,
            f"{verdict.accepted:,}",
            f"{len(verdict.lost):,}",
            f"{len(verdict.duplicated):,}",
            "0" if is_zero(self.drift) else f"{orders:+,} ({cents:+,} ¢)",
            f"{verdict.refused:,}",
            f"{verdict.unknown:,}",
            "never" if self.visible_s is None else f"{self.visible_s:.2f} s",
            f"{self.still_s:.2f} s",
        )

    def summary_line(self) -> str:
        """Return it in one line, e.g. ``v2: lost 0 · duplicated 0 · drift 0 · visible again after 0.81 s``."""
        _, _, _, lost, duplicated, drift, refused, unknown, visible_after, still = self.row()
        visible = "never visible again" if self.visible_s is None else f"visible again after {visible_after}"
        wrong = "" if self.exact else " · NOT EXACT"
        return (
            f"{self.pipeline}: lost {lost} · duplicated {duplicated} · drift {drift} · refused {refused}"
            f" · unknown {unknown} · {visible} · standstill {still}{wrong}"
        )

    def details(self) -> list[str]:
        """Return what stands below the table of it."""
        lines = [*self.verdict.details(), *self.wrong, *self.notes]
        return [f"{self.fault} {self.pipeline}: {line}" for line in lines]

    def as_json(self) -> dict[str, Any]:
        """Return it as docs/chaos.md describes it; money is in cents, times in seconds."""
        return {
            "fault": self.fault,
            "pipeline": str(self.pipeline),
            "exact": self.exact,
            **asdict(self.verdict),
            "drift": asdict(self.drift),
            "audited_lost": self.audited_lost,
            "visible_again_s": None if self.visible_s is None else round(self.visible_s, 3),
            "standstill_s": round(self.still_s, 3),
            "wrong": list(self.wrong),
            "notes": list(self.notes),
            "evidence": None if self.evidence is None else str(self.evidence),
        }


def as_table(results: Sequence[FaultResult]) -> list[str]:
    """Return the lines of the table and, below it, the details of some results."""
    rows = [_COLUMNS, *(result.row() for result in results)]
    widths = [max(len(row[i]) for row in rows) for i in range(len(_COLUMNS))]
    lines = [
        "  ".join(
            text.ljust(width) if i < 2 else text.rjust(width)
            for i, (text, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    ]
    details = [line for result in results for line in result.details()]
    return lines + (["", *details] if details else [])
