"""Lists of ids as hashes: read from text, and asked which payments they hold. Pure.

One id a line; behind it, if it is not for ever, the last day (UTC) on which it counts, and a remark:

    # reported by phone
    tok_8f3a
    tok_19c2 2027-01-31
    tok_77aa 2027-01-31 # until the new card has arrived
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from feature_service.compiled import compiled, compiled_with_memory
from feature_service.errors import FeatureError
from feature_service.identity import (
    MAX_TOKEN_BYTES,
    TOKEN_IS_CARD_NUMBER,
    TOKEN_VALID,
    IdKey,
    token_fault,
    token_hash,
)

MAX_LISTS: Final = 64  # a payment's matches are the bits of one word
FOR_EVER_MS: Final = np.iinfo(np.int64).max

_NO_DATE: Final = 0
_DATE_BYTES: Final = len("2027-01-31")
# What `_read_lines` answers beside TOKEN_VALID and the other faults of tokens.
_BEHIND_ID: Final = 100
_BLANK, _TAB, _LINE_END, _RETURN, _REMARK, _DASH, _ZERO, _NINE = b" \t\n\r#-09"


class IdListError(FeatureError):
    """A line that is none of a list. The message has its number and never its text."""


@dataclass(frozen=True, slots=True, eq=False)
class IdList:
    """m different ids, ascending."""

    hashes: NDArray[np.uint64]  # (m,)
    ends_ms: NDArray[np.int64]  # (m,) from when each does not count any more

    @property
    def digest(self) -> str:
        """SHA-256 of hashes and ends: the same for the same ids under the same key, in whatever order they came."""
        return hashlib.sha256(self.hashes.tobytes() + self.ends_ms.tobytes()).hexdigest()


def parse_id_list(content: bytes, key: IdKey) -> IdList:
    """Of an id that stands there twice, the later end counts. Raises: IdListError."""
    at_most = content.count(b"\n") + 1
    hashes = np.empty(at_most, dtype=np.uint64)
    dates = np.empty(at_most, dtype=np.int64)
    lines = np.empty(at_most, dtype=np.int64)
    buffer = np.frombuffer(content, dtype=np.uint8)
    count, fault, line = _read_lines(buffer, key.k0, key.k1, hashes, dates, lines)
    if fault != TOKEN_VALID:
        raise IdListError(f"line {line}: {_words(fault)}")
    ends_ms = _ends_ms(dates[:count], lines[:count])
    order = np.lexsort((ends_ms, hashes[:count]))
    ordered = hashes[:count][order]
    is_last = np.ones(count, dtype=np.bool_)
    is_last[:-1] = ordered[1:] != ordered[:-1]
    return IdList(ordered[is_last], ends_ms[order][is_last])


class ListMatcher:
    """Says which of some lists hold a payment's ids. Immutable; safe to share between threads.

    Compiles its code, or loads it from the cache, when it is made: the first payment does not wait for it.
    """

    def __init__(self, lists: Sequence[tuple[int, IdList]]) -> None:
        """`lists`: each with the index of the entity whose ids it holds, at most MAX_LISTS."""
        if len(lists) > MAX_LISTS:
            raise ValueError(f"{len(lists)} lists: at most {MAX_LISTS} are possible")
        counts = [each.hashes.shape[0] for _, each in lists]
        ends = np.cumsum(counts, dtype=np.int64)
        self._lists = np.array(
            [(entity, end - count, end) for (entity, _), count, end in zip(lists, counts, ends, strict=True)],
            dtype=np.int64,
        ).reshape(-1, 3)
        self._hashes = np.concatenate([np.empty(0, dtype=np.uint64), *(each.hashes for _, each in lists)])
        self._ends_ms = np.concatenate([np.empty(0, dtype=np.int64), *(each.ends_ms for _, each in lists)])
        self._find(np.zeros((0, 6), dtype=np.uint64), np.zeros(0, dtype=np.int64))

    def matches(self, rows: NDArray[np.void]) -> NDArray[np.uint64]:
        """(n,) of (n,) DECODED rows: bit i is set where list i holds an id that counts at the payment's event time."""
        # Copies make one type of array of all that callers have: code is compiled for each type.
        return self._find(rows["entity_hash"].copy(), rows["event_time_ms"].copy())

    def _find(self, entity_hashes: NDArray[np.uint64], times_ms: NDArray[np.int64]) -> NDArray[np.uint64]:
        return _find(entity_hashes, times_ms, self._lists, self._hashes, self._ends_ms)


def _words(fault: int) -> str:
    if fault == TOKEN_IS_CARD_NUMBER:
        return "the id is a card number: put the card's token in its place"
    if fault == _BEHIND_ID:
        return "behind an id only a day such as 2027-01-31 may stand, and a remark that begins with #"
    return f"an id is 1 to {MAX_TOKEN_BYTES} printable ASCII characters without spaces"


def _ends_ms(dates: NDArray[np.int64], lines: NDArray[np.int64]) -> NDArray[np.int64]:
    """Dates are numbers, such as 20270131."""
    different, places = np.unique(dates, return_inverse=True)
    ends_ms = np.full(different.shape[0], FOR_EVER_MS)
    for place, date in enumerate(different.tolist()):
        if date == _NO_DATE:
            continue
        text = f"{date // 10_000:04}-{date // 100 % 100:02}-{date % 100:02}"
        try:
            day = np.datetime64(text, "D")
        except ValueError:
            line = int(lines[np.flatnonzero(dates == date)[0]])
            raise IdListError(f"line {line}: {text} is no day of the calendar") from None
        ends_ms[place] = (day + 1).astype("datetime64[ms]").astype(np.int64)
    return ends_ms[places]


@compiled
def _read_lines(
    buffer: NDArray[np.uint8],
    k0: np.uint64,
    k1: np.uint64,
    hashes: NDArray[np.uint64],
    dates: NDArray[np.int64],
    lines: NDArray[np.int64],
) -> tuple[int, int, int]:
    """Ids found, the first fault, and its line."""
    count, line, position, size = 0, 0, 0, buffer.shape[0]
    while position < size:
        line += 1
        end = position
        while end < size and buffer[end] != _LINE_END:
            end += 1
        stop = end - 1 if end > position and buffer[end - 1] == _RETURN else end
        start = _skip_blanks(buffer, position, stop)
        if start < stop and buffer[start] != _REMARK:
            behind = start
            while behind < stop and buffer[behind] != _BLANK and buffer[behind] != _TAB:
                behind += 1
            fault = token_fault(buffer, start, behind - start)
            if fault != TOKEN_VALID:
                return count, fault, line
            hashes[count] = token_hash(buffer, start, behind - start, k0, k1)
            dates[count] = _NO_DATE
            lines[count] = line
            behind = _skip_blanks(buffer, behind, stop)
            if behind < stop and buffer[behind] != _REMARK:
                dates[count] = _date(buffer, behind, stop)
                behind = _skip_blanks(buffer, behind + _DATE_BYTES, stop)
                if dates[count] == _NO_DATE or (behind < stop and buffer[behind] != _REMARK):
                    return count, _BEHIND_ID, line
            count += 1
        position = end + 1
    return count, TOKEN_VALID, line


@compiled
def _skip_blanks(buffer: NDArray[np.uint8], position: int, stop: int) -> int:
    while position < stop and (buffer[position] == _BLANK or buffer[position] == _TAB):
        position += 1
    return position


@compiled
def _date(buffer: NDArray[np.uint8], start: int, stop: int) -> int:
    """Such as 20270131; _NO_DATE where none stands there."""
    if start + _DATE_BYTES > stop:
        return _NO_DATE
    date = 0
    for place in range(_DATE_BYTES):
        byte = int(np.int64(buffer[start + place]))
        if place in (4, 7):
            if byte != _DASH:
                return _NO_DATE
        elif byte < _ZERO or byte > _NINE:
            return _NO_DATE
        else:
            date = 10 * date + byte - _ZERO
    return date


@compiled_with_memory
def _find(
    entity_hashes: NDArray[np.uint64],
    times_ms: NDArray[np.int64],
    lists: NDArray[np.int64],
    hashes: NDArray[np.uint64],
    ends_ms: NDArray[np.int64],
) -> NDArray[np.uint64]:
    """`lists` is (L, 3): entity, first place and last place + 1 of its ids in `hashes`."""
    found = np.zeros(times_ms.shape[0], dtype=np.uint64)
    for row in range(times_ms.shape[0]):
        for each in range(lists.shape[0]):
            wanted = entity_hashes[row, lists[each, 0]]
            low, high = lists[each, 1], lists[each, 2]
            end = high
            while low < high:
                middle = (low + high) // 2
                if hashes[middle] < wanted:
                    low = middle + 1
                else:
                    high = middle
            if low < end and hashes[low] == wanted and times_ms[row] < ends_ms[low]:
                found[row] |= np.uint64(1) << np.uint64(each)
    return found
