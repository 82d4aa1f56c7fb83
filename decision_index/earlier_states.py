"""What a payment may have seen of one entity: a beginning of its history, and calls that stood beside it. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from feature_service.records import RECORD, Kind, Outcome
from feature_service.stores.attempts import LIFETIME_S
from feature_service.stores.layout import HEADER, HEADER_BYTES, RECORD_BYTES

_STANDS_MS: Final = 2 * LIFETIME_S * 1_000  # a call beside a history, at most
_MOST_WITH_CALLS: Final = 4_096  # states: what is likely comes first, and each one costs a read


@dataclass(frozen=True, slots=True)
class Seen:
    folded: bytes | None  # the history, or a beginning of it
    calls: bytes = b""  # records beside it

    @property
    def history(self) -> bytes | None:
        """The two as one."""
        return (self.folded or HEADER) + self.calls if self.calls else self.folded

    def later(self, history: bytes | None) -> NDArray[np.void]:
        """The records of the history that were not seen: folded later, and no calls of these."""
        records = self._folded_later(history)
        return records[~(_of_calls(records) & np.isin(records["transaction_hash"], _ids(self.calls)))]

    def with_later_calls(self, history: bytes | None) -> bytes | None:
        """What was folded, and the calls that have been folded since."""
        records = self._folded_later(history)
        return self._with(records[_of_calls(records)])

    def without_later(self, history: bytes | None, labels: bool) -> bytes | None:
        """The whole history but for the labels, or the payments, that came later. Calls stay where calls were seen."""
        records = self._folded_later(history)
        kept = (records["kind"] == Kind.LABEL) != labels
        return self._with(records[kept | _of_calls(records)] if self.calls else records[kept])

    def _folded_later(self, history: bytes | None) -> NDArray[np.void]:
        return _records(history)[len(_records(self.folded)) :]

    def _with(self, records: NDArray[np.void]) -> bytes | None:
        return self.folded if self.folded is None else self.folded + records.tobytes()


def earlier_states(history: bytes | None) -> Iterator[Seen]:
    """Beginnings of the history, without its last record first, as far as its records stand in their order."""
    if history is not None:
        for count in range(_count(history) - 1, _compacted(history) - 1, -1):
            yield Seen(_beginning(history, count))


def states_with_calls(history: bytes | None, beside: bytes, row: NDArray[np.void]) -> Iterator[Seen]:
    """The same, and the whole history, each with calls that stood beside it: those that came first, all of them first.

    `row`: (1,) DECODED, of the call that saw them. A call's record is added once more when it was declined.
    """
    if history is None:
        beginnings: list[bytes | None] = [None]
    else:
        beginnings = [_beginning(history, count) for count in range(_count(history), _compacted(history) - 1, -1)]
    calls = _calls(np.concatenate([np.frombuffer(beside, dtype=RECORD), _records(history)]), row)
    tried = 0
    for count in range(len(calls), 0, -1):
        together = b"".join(calls[:count])
        for beginning in beginnings:
            if tried == _MOST_WITH_CALLS:
                return
            tried += 1
            yield Seen(beginning, together)


def _calls(records: NDArray[np.void], row: NDArray[np.void]) -> list[bytes]:
    """Records of the others that may have stood beside the history, in the order in which they were left there."""
    age_ms = row["event_time_ms"][0] - records["event_time_ms"]
    is_another = records["transaction_hash"] != row["transaction_hash"][0]
    told = records[_of_calls(records) & is_another & (age_ms >= 0) & (age_ms < _STANDS_MS)]
    asked = told.copy()
    asked["outcome"] = Outcome.UNKNOWN
    both = np.concatenate([asked, told])
    order = np.lexsort((both["outcome"], both["event_time_ms"]))  # stable: of one time, as they stand, or were folded
    return list(dict.fromkeys(record.tobytes() for record in both[order]))


def _of_calls(records: NDArray[np.void]) -> NDArray[np.bool_]:
    """(n,) whose outcome nobody told but the scorer, if anybody."""
    by_scorer = np.isin(records["outcome"], (Outcome.UNKNOWN, Outcome.DECLINED_BY_SCORER))
    of_calls: NDArray[np.bool_] = by_scorer & (records["kind"] == Kind.AUTHORISATION)
    return of_calls


def _ids(calls: bytes) -> NDArray[np.uint64]:
    ids: NDArray[np.uint64] = np.frombuffer(calls, dtype=RECORD)["transaction_hash"]
    return ids


def _records(history: bytes | None) -> NDArray[np.void]:
    return np.frombuffer(history or HEADER, dtype=RECORD, offset=HEADER_BYTES)


def _count(history: bytes) -> int:
    return (len(history) - HEADER_BYTES) // RECORD_BYTES


def _beginning(history: bytes, count: int) -> bytes:
    return history[: HEADER_BYTES + count * RECORD_BYTES]


def _compacted(history: bytes) -> int:
    """How many records at the beginning no longer stand in the order in which they came."""
    sums = np.flatnonzero(np.isin(_records(history)["kind"], (Kind.TILE, Kind.FRONTIER)))
    return int(sums[-1]) + 1 if len(sums) else 0
