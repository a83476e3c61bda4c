"""Why a pipeline's accepted orders wait and nobody works on them: said by whoever knows, under a key in Redis.

The processor of a pipeline (a worker, the submitter of the job) publishes it once it has stood for some seconds
and for as long as it holds, with an expiry: what is no longer said is no longer so. `coffee status`, the audit,
/readyz, /metrics and the dashboard show it.
"""

import json
from dataclasses import asdict, dataclass

EXPIRY_MS = 6_000
"""Milliseconds for which a standstill is believed without being said again; say it at least every two seconds."""


@dataclass(frozen=True, slots=True)
class Standstill:
    """Why accepted orders wait, and what helps; one sentence each, for people."""

    reason: str
    """The cause's own sentence, e.g. ``no checkpoint can be read: RocksDBException: Sst file size mismatch …``."""
    cure: str
    """What to do, or what is being done already, e.g. "`coffee replay v3` counts the topic anew"."""

    def to_json(self) -> str:
        """Return it as the value of ``MetricKeys.standstill``."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str | bytes) -> "Standstill":
        """Read what ``to_json`` has written. Raises ValueError where it is anything else."""
        try:
            raw = json.loads(text)
            return cls(str(raw["reason"]), str(raw["cure"]))
        except (TypeError, KeyError, ValueError) as error:
            raise ValueError(f"not a standstill: {text!r}") from error

    def __str__(self) -> str:
        return f"{self.reason} – {self.cure}"
