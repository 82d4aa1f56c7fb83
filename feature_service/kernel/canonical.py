"""Records of a history in canonical form: those of the horizon, one per (kind, id), labels joined, oldest first.

Nothing depends on the order in which records came or how they were stored: the same set gives the same members.
Which copy of a (kind, id) wins: the one whose outcome is known; then the earlier event time; then the larger words.
"""

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from feature_service.catalogue.definitions import HORIZON_MS, Input
from feature_service.compiled import compiled
from feature_service.records import MISSING_INT64, RECORD_WORDS, Kind, Outcome, word_of

# Plain integers, which Numba compiles in. Words of a record:
TIME, ID, AMOUNT, KNOWN_AT = (
    word_of(name) for name in ("event_time_ms", "transaction_hash", "amount_minor", "known_at_ms")
)
COUNTERPART, CODES, LOCATION = (word_of(name) for name in ("counterpart", "mcc", "latitude"))

# Columns of a member. The country stands after the counterparts: attribute 3.
M_TIME, M_ID, M_AMOUNT, M_ATTRIBUTE, M_LOCATION, M_FLAGS, MEMBER_COLUMNS = 0, 1, 2, 3, 7, 8, 9
FRAUD, CURRENT = 1 << 16, 1 << 17  # above the bits of Input in the flags

_AUTHORISATION, _LABEL = int(Kind.AUTHORISATION), int(Kind.LABEL)
_CAPTURE, _REVERSAL, _REFUND = int(Kind.CAPTURE), int(Kind.REVERSAL), int(Kind.REFUND)
_APPROVED, _DECLINED = int(Outcome.APPROVED), int(Outcome.DECLINED)
_ATTEMPT_BIT = 1 << Input.ATTEMPTS
_APPROVED_BITS = (1 << Input.ATTEMPTS) | (1 << Input.APPROVED)
_DECLINED_BITS = (1 << Input.ATTEMPTS) | (1 << Input.DECLINED)
_CAPTURE_BIT, _REVERSAL_BIT, _REFUND_BIT = 1 << Input.CAPTURES, 1 << Input.REVERSALS, 1 << Input.REFUNDS
_HORIZON_MS: Final = HORIZON_MS


class Workspace(NamedTuple):
    """Scratch memory of one thread, for histories of up to `capacity` records."""

    members: NDArray[np.int64]  # (capacity + 1, MEMBER_COLUMNS)
    sorted: NDArray[np.int64]  # the same, in canonical order
    bases: NDArray[np.int64]  # (capacity + 1,) word of the record behind each member
    labels: NDArray[np.int64]  # (capacity + 1,) words of the labels
    label_known_at: NDArray[np.int64]  # (capacity + 1,) of each member's best label
    label_code: NDArray[np.int64]
    table: NDArray[np.int64]  # (>= 2 * capacity + 4,) open addressing


def make_workspace(capacity: int) -> Workspace:
    def column(size: int) -> NDArray[np.int64]:
        return np.empty(size, dtype=np.int64)

    members = np.empty((2, capacity + 1, MEMBER_COLUMNS), dtype=np.int64)
    table_size = 4
    while table_size < 2 * capacity + 4:
        table_size *= 2
    size = capacity + 1
    return Workspace(members[0], members[1], column(size), column(size), column(size), column(size), column(table_size))


@compiled
def _wins(words: NDArray[np.int64], record: int, rival: int) -> bool:
    """Whether the record at word `record` replaces the copy of it at word `rival`."""
    known = (words[record + CODES] >> 40) & 0xFF != 0
    rival_known = (words[rival + CODES] >> 40) & 0xFF != 0
    if known != rival_known:
        return bool(known)
    if words[record + TIME] != words[rival + TIME]:
        return words[record + TIME] < words[rival + TIME]  # type: ignore[no-any-return]
    for word in range(AMOUNT, RECORD_WORDS):
        if words[record + word] != words[rival + word]:
            return words[record + word] > words[rival + word]  # type: ignore[no-any-return]
    return False


@compiled
def _input_bits(kind: int, outcome: int) -> int:
    if kind == _AUTHORISATION:
        if outcome == _APPROVED:
            return _APPROVED_BITS
        return _DECLINED_BITS if outcome == _DECLINED else _ATTEMPT_BIT
    if kind == _CAPTURE:
        return _CAPTURE_BIT
    if kind == _REVERSAL:
        return _REVERSAL_BIT
    return _REFUND_BIT if kind == _REFUND else 0


@compiled
def _fill_member(member: NDArray[np.int64], words: NDArray[np.int64], base: int, flags: int) -> None:
    member[M_TIME] = words[base + TIME]
    member[M_ID] = words[base + ID]
    member[M_AMOUNT] = words[base + AMOUNT]
    for slot in range(3):
        member[M_ATTRIBUTE + slot] = words[base + COUNTERPART + slot]
    member[M_ATTRIBUTE + 3] = (words[base + CODES] >> 16) & 0xFFFF
    member[M_LOCATION] = words[base + LOCATION]
    member[M_FLAGS] = flags


@compiled
def _precedes(a: NDArray[np.int64], b: NDArray[np.int64]) -> bool:
    """Canonical order: event time, then id, then flags (which tell the kinds of one id apart)."""
    if a[M_TIME] != b[M_TIME]:
        return a[M_TIME] < b[M_TIME]  # type: ignore[no-any-return]
    if a[M_ID] != b[M_ID]:
        return a[M_ID] < b[M_ID]  # type: ignore[no-any-return]
    return a[M_FLAGS] & 0xFFFF < b[M_FLAGS] & 0xFFFF  # type: ignore[no-any-return]


@compiled
def _merge_sort(
    members: NDArray[np.int64], count: int, order: NDArray[np.int64], spare: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Order of the members, by merging the ascending runs that arrival left: linear for a few runs."""
    for index in range(count):
        order[index] = index
    while True:
        written, runs = 0, 0
        while written < count:
            left = written
            middle = left + 1
            while middle < count and _precedes(members[order[middle - 1]], members[order[middle]]):
                middle += 1
            end = middle + 1 if middle < count else middle
            while end < count and _precedes(members[order[end - 1]], members[order[end]]):
                end += 1
            right = middle
            while written < end:
                if right == end or (left < middle and _precedes(members[order[left]], members[order[right]])):
                    spare[written] = order[left]
                    left += 1
                else:
                    spare[written] = order[right]
                    right += 1
                written += 1
            runs += 1
        order, spare = spare, order
        if runs <= 1:
            return order


@compiled
def gather(
    words: NDArray[np.int64],
    first: int,
    count: int,
    as_of_ms: int,
    current: NDArray[np.int64],
    has_current: bool,
    space: Workspace,
) -> tuple[NDArray[np.int64], int, int]:
    """Canonical members, oldest first; how many; and the newest event time of the whole history.

    `first` is the word at which `count` records start. Members are those with event time in (as_of - horizon, as_of],
    with the labels known as of then; the current transaction stands for its stored copies, its outcome not known.
    """
    oldest_ms = as_of_ms - _HORIZON_MS
    newest_ms = MISSING_INT64
    size = 4
    while size < 2 * count + 2:
        size *= 2
    mask = size - 1
    table = space.table
    table[:size] = -1
    members, bases = space.members, space.bases
    found, label_count = 0, 0
    for base in range(first, first + count * RECORD_WORDS, RECORD_WORDS):
        time_ms = words[base + TIME]
        newest_ms = max(newest_ms, time_ms)
        if time_ms > as_of_ms or time_ms <= oldest_ms:
            continue
        kind = (words[base + CODES] >> 32) & 0xFF
        identity = words[base + ID]
        if kind == _LABEL:
            if words[base + KNOWN_AT] <= as_of_ms:
                space.labels[label_count] = base
                label_count += 1
            continue
        if has_current and kind == _AUTHORISATION and identity == current[ID]:
            continue
        place = (identity + kind) & mask
        while True:
            holder = table[place]
            if holder < 0:
                table[place] = found
                bases[found] = base
                found += 1
                break
            rival = bases[holder]
            if words[rival + ID] == identity and (words[rival + CODES] >> 32) & 0xFF == kind:
                if _wins(words, base, rival):
                    bases[holder] = base
                break
            place = (place + 1) & mask

    for index in range(found):
        codes = words[bases[index] + CODES]
        _fill_member(members[index], words, bases[index], _input_bits((codes >> 32) & 0xFF, (codes >> 40) & 0xFF))
    if label_count:
        _join_labels(words, label_count, mask, found, space)
    if has_current:
        _fill_member(members[found], current, 0, _ATTEMPT_BIT | CURRENT)
        found += 1

    in_order = True
    for index in range(1, found):
        if not _precedes(members[index - 1], members[index]):
            in_order = False
            break
    if in_order:
        return members, found, newest_ms
    order = _merge_sort(members, found, space.bases, space.labels)
    for index in range(found):
        space.sorted[index] = members[order[index]]
    return space.sorted, found, newest_ms


@compiled
def _join_labels(words: NDArray[np.int64], label_count: int, mask: int, found: int, space: Workspace) -> None:
    """Mark the members that are fraud by their latest label; of labels known at one time the larger code wins."""
    space.label_known_at[:found] = MISSING_INT64
    space.label_code[:found] = 0
    for index in range(label_count):
        base = space.labels[index]
        identity, known_at_ms = words[base + ID], words[base + KNOWN_AT]
        code = (words[base + CODES] >> 56) & 0xFF
        place = (identity + _AUTHORISATION) & mask
        while True:
            holder = space.table[place]
            if holder < 0:
                break
            rival = space.bases[holder]
            if words[rival + ID] == identity and (words[rival + CODES] >> 32) & 0xFF == _AUTHORISATION:
                best_ms = space.label_known_at[holder]
                if known_at_ms > best_ms or (known_at_ms == best_ms and code > space.label_code[holder]):
                    space.label_known_at[holder] = known_at_ms
                    space.label_code[holder] = code
                break
            place = (place + 1) & mask
    for index in range(found):
        if space.label_code[index] & 1:
            space.members[index, M_FLAGS] |= FRAUD
