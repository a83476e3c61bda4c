"""The comparison: what a client attempted and what it was answered, against the rows, one by one."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from uuid import UUID

from coffee_core.load.orders import Attempt, Kind
from coffee_core.load.statistics import Answer, Outcome

_MOST_NAMED = 5
_KEY_IN_FLIGHT = 409
"""The answer to a repeat whose first is still being taken: certainly not stored by it, and no failure."""
_TOO_MANY = 429


@dataclass(frozen=True, slots=True)
class Row:
    """One stored order, as far as its client can know it."""

    message_id: UUID
    drink: str
    store: str
    price_cents: int
    """Price in cents."""
    ordered_at_us: int
    """Time of order, microseconds since the epoch: it identifies an intended order."""
    accepted_at_us: int = 0
    """When the API took it, microseconds since the epoch."""
    stored_at_us: int = 0
    """When it was inserted, by the clock of PostgreSQL, microseconds since the epoch."""
    source_id: str = ""
    """Its place on the log; empty where it has none."""


@dataclass(slots=True)
class _Intent:
    """One intended order: all attempts that carry its time of order."""

    attempt: Attempt
    ended: int = 0
    acknowledged: bool = False
    unknown: bool = False
    ids: set[str] = field(default_factory=set)
    begun: int = 0

    @property
    def may_be_stored(self) -> bool:
        """Acknowledged, without a certain answer, or without any."""
        return self.acknowledged or self.unknown or self.ended < self.begun

    def explains(self, row: Row) -> bool:
        sent = self.attempt
        same = (row.drink, row.store, row.price_cents) == (sent.drink, sent.store, sent.price_cents)
        known = (
            str(row.message_id) == str(sent.key) if sent.key else not self.ids or str(row.message_id) in self.ids
        )
        return same and known and sent.kind is not Kind.MALFORMED and self.may_be_stored


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of one client's orders. All must hold: acknowledged ⊆ stored ⊆ attempted, each once."""

    attempted: int
    """Distinct well-formed orders that were sent at least once."""
    accepted: int
    """Of these, acknowledged at least once."""
    stored: int
    """Of these, in the table."""
    lost: tuple[str, ...]
    """Acknowledged and not in the table: their keys, or times of order where they had none."""
    duplicated: tuple[str, ...]
    """Message ids of rows beyond the first of an intended order."""
    unexplained: tuple[str, ...]
    """Message ids of rows whose contents were never sent, or certainly refused."""
    refused: int
    """Requests that were turned away with certainty: 503, 429, or no connection."""
    unknown: int
    """Requests without a certain answer."""
    rejected: tuple[str, ...]
    """Reasons of 4xx answers to well-formed orders, those apart that ask to try again (409, 429)."""

    @property
    def exact(self) -> bool:
        """Nothing is lost, doubled, made up or turned away without a reason."""
        return not (self.lost or self.duplicated or self.unexplained or self.rejected)

    def details(self) -> list[str]:
        """Return a line for each kind of fault there is, with the first few it concerns."""
        named = (
            ("lost", self.lost),
            ("duplicated", self.duplicated),
            ("stored although never sent so, or refused", self.unexplained),
            ("rejected although well-formed", self.rejected),
        )
        return [
            f"{what}: {len(ids):,}: {', '.join(ids[:_MOST_NAMED])}{' …' * (len(ids) > _MOST_NAMED)}"
            for what, ids in named
            if ids
        ]


def compare(attempts: Iterable[Attempt], answers: Sequence[Answer], rows: Iterable[Row]) -> Verdict:
    """Hold the rows of a time against everything one client attempted in it."""
    intents = _intents(attempts, answers)
    rows_of: dict[int, list[Row]] = defaultdict(list)
    unexplained = []
    for row in rows:
        intent = intents.get(row.ordered_at_us)
        rows_of[row.ordered_at_us].append(row)
        if intent is None or not intent.explains(row):
            unexplained.append(str(row.message_id))
    well_formed = {at: intent for at, intent in intents.items() if intent.attempt.kind is not Kind.MALFORMED}
    wrongly_accepted = [_name(i) for i in intents.values() if i.acknowledged and i.attempt.kind is Kind.MALFORMED]
    return Verdict(
        attempted=len(well_formed),
        accepted=sum(intent.acknowledged for intent in well_formed.values()),
        stored=sum(at in rows_of for at in well_formed),
        lost=tuple(_name(i) for at, i in well_formed.items() if i.acknowledged and at not in rows_of),
        duplicated=tuple(str(row.message_id) for several in rows_of.values() for row in several[1:]),
        unexplained=tuple(unexplained + wrongly_accepted),
        refused=sum(failed(answer) and answer.outcome is not Outcome.UNKNOWN for answer in answers),
        unknown=sum(answer.outcome is Outcome.UNKNOWN for answer in answers),
        rejected=tuple(answer.reason for answer in answers if _wrongly_rejected(answer)),
    )


def failed(answer: Answer) -> bool:
    """Tell whether an answer is a failure of the pipeline: a refusal, or one that does not know."""
    if answer.status == _KEY_IN_FLIGHT:
        return False
    return answer.outcome in (Outcome.REFUSED, Outcome.UNKNOWN) or answer.status == _TOO_MANY


def _intents(attempts: Iterable[Attempt], answers: Iterable[Answer]) -> dict[int, _Intent]:
    intents: dict[int, _Intent] = {}
    for attempt in attempts:
        intents.setdefault(attempt.ordered_at_us, _Intent(attempt)).begun += 1
    for answer in answers:
        intent = intents[answer.attempt.ordered_at_us]
        intent.ended += 1
        intent.acknowledged |= _acknowledged(answer)
        intent.unknown |= answer.outcome is Outcome.UNKNOWN
        if _acknowledged(answer) and answer.message_id:
            intent.ids.add(answer.message_id)
    return intents


def _acknowledged(answer: Answer) -> bool:
    return answer.outcome is Outcome.ACKNOWLEDGED


def _wrongly_rejected(answer: Answer) -> bool:
    well_formed = answer.attempt.kind is not Kind.MALFORMED
    return well_formed and answer.outcome is Outcome.REJECTED and answer.status not in (_KEY_IN_FLIGHT, _TOO_MANY)


def _name(intent: _Intent) -> str:
    return str(intent.attempt.key or intent.attempt.timestamp)
