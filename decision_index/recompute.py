"""Features of a decided payment computed again from what its histories hold now, and why they differ. Pure.

A history grows at its end, in the order in which records were folded. So what was known when the payment was decided is
a beginning of the history as it is now, and a cause is proven, not guessed: some beginning gives the captured bits, and
the payments and labels behind it are what came later. A call also sees calls that no log has brought yet: where no
beginning gives the bits, one with such calls may. Where none does either, the cause is what is known to change
histories, and else said to be unknown.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from itertools import chain
from math import isnan
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from decision_index.earlier_states import Seen, earlier_states, states_with_calls
from feature_service.catalogue import features
from feature_service.catalogue.definitions import HORIZON_MS, Aggregate, Derived, Feature
from feature_service.kernel import READ_BEFORE_HORIZON
from feature_service.key_set import KeySet
from feature_service.online import OnlineFeatures, approximate_entities
from feature_service.records import ENTITIES, ENTITY_INDEX, Kind
from feature_service.stores.layout import COMPACTED_HEADER


class Cause(Enum):
    """Why a feature is another one now. The values are for people."""

    LATE_PAYMENTS = "payments came after the decision"
    LATE_LABELS = "labels came after the decision"
    LATE_RECORDS = "payments and labels came after the decision"
    CALLS = "other calls were seen beside the history: the log has them later, with other outcomes, or not yet"
    STALE = "the histories lagged behind the log at the decision"
    TRIMMED = "records of that time are no longer kept: it cannot be computed again"
    GONE = "there is no history any more: it has expired, was erased, or is in another generation"
    COMPACTED = "the history was compacted since: which records came later is no longer told"
    REQUEST = "rates or time rules of the request changed since"
    UNKNOWN = "unknown: no earlier state of the history, with calls beside it or without, gives the captured value"


@dataclass(frozen=True, slots=True)
class Decided:
    """What a decision captured."""

    names: tuple[str, ...]  # of its model's features
    vector: NDArray[np.float64]  # (F,)
    row: NDArray[np.void]  # (1,) DECODED, of its transaction
    stale: bool
    approximate: tuple[str, ...]  # entities
    saw_calls: bool  # that stood beside the histories


@dataclass(frozen=True, slots=True)
class Difference:
    feature: str
    captured: float
    now: float  # NaN where it cannot be computed
    cause: Cause


@dataclass(frozen=True, slots=True)
class LaterRecords:
    """Of one entity, what was not known when the payment was decided, at the least."""

    entity: str
    payments: int
    labels: int


@dataclass(frozen=True, slots=True)
class Recomputed:
    compared: int
    differences: Sequence[Difference]
    later: Sequence[LaterRecords]


@dataclass(frozen=True, slots=True)
class _Entity:
    """How the features of one entity come out."""

    cause: Cause | None  # None: those of it alone are as captured
    seen: Seen  # with which they are as captured; else the history as it is now
    later: LaterRecords | None = None


class Recomputation:
    """Not for concurrent use by threads: the kernel's scratch memory is owned."""

    def __init__(self, online: OnlineFeatures) -> None:
        """`online`: by a plan of the decision's features."""
        self._online = online
        definitions = features(online.plan.names)
        self._entities_of: Final = [_entities_of(definition) for definition in definitions]

    def keys(self, decided: Decided) -> KeySet:
        """Of the histories to read."""
        return self._online.keys(decided.row)

    def compare(
        self, decided: Decided, keys: KeySet, histories: Sequence[bytes | None], beside: Sequence[bytes]
    ) -> Recomputed:
        """What stands under the keys now, and beside: records of attempts. Raises: HistoryFormatError."""
        read = _Histories(self._online, decided.row, keys, list(histories))
        now, _ = read.compute({})
        found = {
            entity: self._inspect(decided, read, entity, beside[place] if decided.saw_calls else b"")
            for entity in self._online.plan.entities
            if (place := int(keys.places[0, entity])) >= 0
        }
        values = _Values(
            read.compute({entity: each.seen.history for entity, each in found.items()})[0],
            read.compute({entity: each.seen.with_later_calls(read.of(entity)) for entity, each in found.items()})[0],
            {
                cause: read.compute(
                    {entity: each.seen.without_later(read.of(entity), labels) for entity, each in found.items()}
                )[0]
                for cause, labels in ((Cause.LATE_PAYMENTS, False), (Cause.LATE_LABELS, True))
            },
        )
        differences = [
            Difference(name, captured, at_present, self._cause(place, decided, found, values))
            for place, (name, captured, at_present) in enumerate(
                zip(decided.names, decided.vector.tolist(), now.tolist(), strict=True)
            )
            if not _same(captured, at_present)
        ]
        later = [each.later for each in found.values() if each.later is not None]
        return Recomputed(len(decided.names), differences, later)

    def _cause(self, place: int, decided: Decided, found: Mapping[int, _Entity], values: "_Values") -> Cause:
        entities = self._entities_of[place]
        if not entities:
            return Cause.REQUEST
        causes = [cause for entity in entities if entity in found and (cause := found[entity].cause) is not None]
        lost = [cause for cause in causes if cause in (Cause.TRIMMED, Cause.GONE, Cause.COMPACTED)]
        captured = float(decided.vector[place])
        if lost:
            return lost[0]
        if not _same(captured, float(values.restored[place])) or not causes:
            return Cause.UNKNOWN
        if Cause.CALLS in causes and not _same(captured, float(values.with_later_calls[place])):
            return Cause.CALLS
        if decided.stale:
            return Cause.STALE
        # Which of the later records it takes: without those of one kind, the captured value is back or not.
        enough = [cause for cause, without in values.without.items() if _same(captured, float(without[place]))]
        return enough[0] if len(enough) == 1 else Cause.LATE_RECORDS

    def _inspect(self, decided: Decided, read: "_Histories", entity: int, beside: bytes) -> _Entity:
        history = read.of(entity)
        own = np.array([entities == {entity} for entities in self._entities_of])
        captured = decided.vector[own]
        values, status = read.compute({}, only=entity)
        if status & READ_BEFORE_HORIZON:
            return _Entity(Cause.TRIMMED, Seen(history))
        if _all_same(captured, values[own]):
            return _Entity(None, Seen(history))
        states = earlier_states(history)
        if decided.saw_calls:
            states = chain(states, states_with_calls(history, beside, decided.row))
        for seen in states:
            values, _ = read.compute({entity: seen.history}, only=entity)
            if _all_same(captured, values[own]):
                later = _later(ENTITIES[entity], seen.later(history), decided.row)
                return _Entity(Cause.CALLS if seen.calls else Cause.LATE_RECORDS, seen, later)
        if history is None:
            return _Entity(Cause.GONE, Seen(None))
        name = ENTITIES[entity]
        approximate = name in decided.approximate or name in approximate_entities(status)
        compacted = history.startswith(COMPACTED_HEADER) or approximate
        return _Entity(Cause.COMPACTED if compacted else Cause.UNKNOWN, Seen(history))


class _Values(NamedTuple):
    """Features by what else their histories might hold. (F,) each."""

    restored: NDArray[np.float64]
    with_later_calls: NDArray[np.float64]  # what had been folded, and the calls that were folded since
    without: Mapping[Cause, NDArray[np.float64]]  # of what came later, the one kind or the other


class _Histories:
    """The histories of one payment, with others in the place of some."""

    def __init__(
        self, online: OnlineFeatures, row: NDArray[np.void], keys: KeySet, histories: Sequence[bytes | None]
    ) -> None:
        self._online = online
        self._row = row
        self._keys = keys
        self._histories = histories

    def of(self, entity: int) -> bytes | None:
        return self._histories[int(self._keys.places[0, entity])]

    def compute(
        self, instead: Mapping[int, bytes | None], *, only: int | None = None
    ) -> tuple[NDArray[np.float64], int]:
        """(F,) values and the kernel's status. `instead`: by entity; `only`: the others count as empty."""
        histories: list[bytes | None] = list(self._histories) if only is None else [None] * len(self._histories)
        if only is not None:
            histories[self._keys.places[0, only]] = self.of(only)
        for entity, history in instead.items():
            histories[self._keys.places[0, entity]] = history
        found = self._online.vectors(self._row, self._keys, histories)
        return found.values[0], int(found.statuses[0])


def _entities_of(feature: Feature) -> frozenset[int]:
    """Those whose histories the feature rests on."""
    if isinstance(feature, Aggregate):
        return frozenset({ENTITY_INDEX[feature.entity]})
    if isinstance(feature, Derived):
        return frozenset().union(*map(_entities_of, feature.operands))
    return frozenset()


def _later(entity: str, records: NDArray[np.void], row: NDArray[np.void]) -> LaterRecords | None:
    """Of records that came later, those that a read as of the payment's time sees."""
    as_of_ms = row["event_time_ms"][0]
    is_label = records["kind"] == Kind.LABEL
    age_ms = as_of_ms - records["event_time_ms"]
    seen = (age_ms >= 0) & (age_ms < HORIZON_MS) & (records["known_at_ms"] <= as_of_ms)
    is_itself = ~is_label & (records["transaction_hash"] == row["transaction_hash"][0])
    payments, labels = int((seen & ~is_label & ~is_itself).sum()), int((seen & is_label).sum())
    return LaterRecords(entity, payments, labels) if payments or labels else None


def _same(a: float, b: float) -> bool:
    return (isnan(a) and isnan(b)) or a.hex() == b.hex()


def _all_same(a: NDArray[np.float64], b: NDArray[np.float64]) -> bool:
    return bool((np.isnan(a) & np.isnan(b) | (a.view(np.int64) == b.view(np.int64))).all())
