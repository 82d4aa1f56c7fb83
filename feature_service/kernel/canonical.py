"""Records of a history in canonical form: those of the horizon, one per (kind, id), labels joined, oldest first.

Nothing depends on the order in which records came or how they were stored: the same set gives the same members.
Which copy of a (kind, id) wins: the one whose outcome the issuer told, then the one that the scorer declined; then the
earlier event time; then the larger words.
Tiles are set aside: what is a member is found among records.
"""

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from feature_service.catalogue.definitions import HORIZON_MS, Input
from feature_service.compiled import compiled
from feature_service.kernel.ordering import canonical_order
from feature_service.kernel.words import (
    AMOUNT,
    CODES,
    COUNTERPART,
    ID,
    KNOWN_AT,
    LOCATION,
    M_AMOUNT,
    M_ATTRIBUTE,
    M_FLAGS,
    M_ID,
    M_LOCATION,
    M_TIME,
    MEMBER_COLUMNS,
    TIME,
)
from feature_service.kernel.workspace import Workspace
from feature_service.records import MISSING_INT64, RECORD_WORDS, Kind, Outcome

FRAUD, CURRENT = 1 << 16, 1 << 17  # above the bits of Input in the flags

_AUTHORISATION, _LABEL = int(Kind.AUTHORISATION), int(Kind.LABEL)
_TILE, _FRONTIER = int(Kind.TILE), int(Kind.FRONTIER)
_CAPTURE, _REVERSAL, _REFUND = int(Kind.CAPTURE), int(Kind.REVERSAL), int(Kind.REFUND)
_UNKNOWN, _APPROVED, _DECLINED = int(Outcome.UNKNOWN), int(Outcome.APPROVED), int(Outcome.DECLINED)
_DECLINED_BY_SCORER = int(Outcome.DECLINED_BY_SCORER)
_ATTEMPT_BIT = 1 << Input.ATTEMPTS
_APPROVED_BITS = (1 << Input.ATTEMPTS) | (1 << Input.APPROVED)
_DECLINED_BITS = (1 << Input.ATTEMPTS) | (1 << Input.DECLINED)
_CAPTURE_BIT, _REVERSAL_BIT, _REFUND_BIT = 1 << Input.CAPTURES, 1 << Input.REVERSALS, 1 << Input.REFUNDS
_HORIZON_MS: Final = HORIZON_MS


class Gathered(NamedTuple):
    """What a read sees of one history, in a Workspace."""

    found: int  # how many, in Workspace.members
    labels: int  # how many, in Workspace.labels
    tiles: int  # how many, in Workspace.tiles
    newest_ms: int  # of the whole history; MISSING_INT64 where it is empty
    frontier_ms: int  # before which the history cannot be read; MISSING_INT64 where it was never compacted


@compiled
def _authority(words: NDArray[np.int64], base: int) -> int:
    """Of whoever told the outcome of the record at a word."""
    outcome = (words[base + CODES] >> 40) & 0xFF
    if outcome == _UNKNOWN:
        return 0
    return 1 if outcome == _DECLINED_BY_SCORER else 2


@compiled
def _wins(words: NDArray[np.int64], record: int, rival: int) -> bool:
    """Whether the record at word `record` replaces the copy of it at word `rival`."""
    authority, rival_authority = _authority(words, record), _authority(words, rival)
    if authority != rival_authority:
        return authority > rival_authority
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
        return _DECLINED_BITS if outcome in (_DECLINED, _DECLINED_BY_SCORER) else _ATTEMPT_BIT
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
def _rearrange(values: NDArray[np.int64], order: NDArray[np.int64], count: int, spare: NDArray[np.int64]) -> None:
    for index in range(count):
        spare[index] = values[order[index]]
    for index in range(count):
        values[index] = spare[index]


@compiled
def _insert_current(members: NDArray[np.int64], found: int, current: NDArray[np.int64]) -> None:
    """Among (found + 1) members whose last one is free; none of them is newer."""
    place = found
    # Of one id, an authorisation stands before other kinds.
    while place > 0 and members[place - 1, M_TIME] == current[TIME] and members[place - 1, M_ID] >= current[ID]:
        for column in range(MEMBER_COLUMNS):
            members[place, column] = members[place - 1, column]
        place -= 1
    _fill_member(members[place], current, 0, _ATTEMPT_BIT | CURRENT)


@compiled
def gather(
    words: NDArray[np.int64],
    first: int,
    count: int,
    as_of_ms: int,
    current: NDArray[np.int64],
    has_current: bool,
    space: Workspace,
) -> Gathered:
    """Canonical members, oldest first, and the labels and tiles beside them, all in `space`.

    `first` is the word at which `count` records start. Members are those with event time in (as_of - horizon, as_of],
    with the labels known as of then; the current transaction stands for its stored copies, its outcome not known.
    """
    oldest_ms = as_of_ms - _HORIZON_MS
    newest_ms, last_ms = MISSING_INT64, MISSING_INT64
    size = 4
    while size < 2 * count + 2:
        size *= 2
    mask = size - 1
    table = space.table
    table[:size] = -1
    members, bases = space.members, space.bases
    found, others, in_order = 0, 0, True
    for base in range(first, first + count * RECORD_WORDS, RECORD_WORDS):
        time_ms = words[base + TIME]
        newest_ms = max(newest_ms, time_ms)
        kind = (words[base + CODES] >> 32) & 0xFF
        if kind >= _LABEL:
            space.labels[others] = base
            others += 1
            continue
        if time_ms > as_of_ms or time_ms <= oldest_ms:
            continue
        identity = words[base + ID]
        if has_current and kind == _AUTHORISATION and identity == current[ID]:
            continue
        place = (identity + kind) & mask
        while True:
            holder = table[place]
            if holder < 0:
                table[place] = found
                bases[found] = base
                found += 1
                in_order &= time_ms > last_ms
                last_ms = time_ms
                break
            rival = bases[holder]
            if words[rival + ID] == identity and (words[rival + CODES] >> 32) & 0xFF == kind:
                if _wins(words, base, rival):
                    bases[holder] = base
                    in_order = False
                break
            place = (place + 1) & mask

    label_count, tile_count, frontier_ms = 0, 0, MISSING_INT64
    if others:
        label_count, tile_count, frontier_ms = _part_others(words, others, oldest_ms, as_of_ms, space)
    if label_count:
        _find_labels(words, label_count, mask, found, space)
    if not in_order:
        canonical_order(words, bases, found, space.order, space.spare)
        _rearrange(bases, space.order, found, space.label_known_at)
        if label_count:
            _rearrange(space.label_code, space.order, found, space.label_known_at)
    for index in range(found):
        codes = words[bases[index] + CODES]
        _fill_member(members[index], words, bases[index], _input_bits((codes >> 32) & 0xFF, (codes >> 40) & 0xFF))
    if label_count:
        for index in range(found):
            if space.label_code[index] & 1:
                members[index, M_FLAGS] |= FRAUD
    if has_current:
        _insert_current(members, found, current)
        found += 1
    return Gathered(found, label_count, tile_count, newest_ms, frontier_ms)


@compiled
def _part_others(
    words: NDArray[np.int64], others: int, oldest_ms: int, as_of_ms: int, space: Workspace
) -> tuple[int, int, int]:
    """How many of `space.labels` stay there, and how many go to `space.tiles`; and the frontier."""
    labels, tiles, frontier_ms = 0, 0, MISSING_INT64
    for index in range(others):
        base = space.labels[index]
        kind, time_ms = (words[base + CODES] >> 32) & 0xFF, words[base + TIME]
        if kind == _FRONTIER:
            frontier_ms = max(frontier_ms, time_ms)
        elif oldest_ms < time_ms <= as_of_ms:
            if kind == _TILE:
                space.tiles[tiles] = base
                tiles += 1
            elif kind == _LABEL and words[base + KNOWN_AT] <= as_of_ms:
                space.labels[labels] = base
                labels += 1
    return labels, tiles, frontier_ms


@compiled
def _find_labels(words: NDArray[np.int64], label_count: int, mask: int, found: int, space: Workspace) -> None:
    """The latest label of each of `space.bases`, 0 for none; of labels known at one time the larger code wins."""
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
