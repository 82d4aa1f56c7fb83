"""Fold calls as bytes of the Redis protocol, written by compiled code: a batch makes thousands of arguments."""

from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

from feature_service.compiled import compiled
from feature_service.stores.fold_batch import FoldBatch
from feature_service.stores.layout import ENTITY_LETTERS, HEADER, HEADER_BYTES, RECORD_BYTES, StoreLayout
from feature_service.wire_writer import write_bytes

FUNCTION: Final = "fraud_fold_v5"
_LETTERS: Final = np.frombuffer("".join(ENTITY_LETTERS.values()).encode(), dtype=np.uint8)
_FENCE: Final = np.frombuffer(b"}:fence", dtype=np.uint8)
# Of numbers, hashes, marks and line ends, beside the arguments whose length is known.
_CALL_NUMBERS_BYTES_AT_MOST: Final = 192
_GROUP_NUMBERS_BYTES_AT_MOST: Final = 96
_DOLLAR, _STAR, _ZERO, _COLON, _BRACE, _CR, _LF = b"$*0:}\r\n"
_FIXED_ARGUMENTS: Final = 11  # after the keys and before the records: see fold.lua
_FIRST_HEX_LETTER: Final = ord("a") - 10


def encode_fold(
    batch: FoldBatch,
    layout: StoreLayout,
    renewed: NDArray[np.uint8],
    *,
    retention_ms: int,
    ttl_s: int,
    history_cap: int,
) -> list[memoryview]:
    """The calls of the batch, one FCALL a shard, in order. `renewed` (g,): see `Renewals`."""
    command = _bytes(_bulk(b"FCALL") + _bulk(FUNCTION.encode()))
    prefix = _bytes(layout.prefix)
    layout_and_source = _bytes(_bulk(layout.layout_id.encode()) + _bulk(batch.source.encode()))
    constants = _bytes(
        b"".join(
            _bulk(part)
            for part in (
                b"%d" % batch.confirmed_at_ms,
                b"%d" % retention_ms,
                b"%d" % ttl_s,
                HEADER,
                b"%d" % RECORD_BYTES,
                b"%d" % (HEADER_BYTES + history_cap * RECORD_BYTES),
            )
        )
    )
    fixed_bytes = sum(part.shape[0] for part in (command, prefix, _FENCE, layout_and_source, constants))
    bound = (  # compiled code does not check bounds
        batch.shards.shape[0] * (fixed_bytes + _CALL_NUMBERS_BYTES_AT_MOST)
        + batch.hashes.shape[0] * (prefix.shape[0] + _GROUP_NUMBERS_BYTES_AT_MOST)
        + batch.records.nbytes
        + renewed.nbytes
    )
    out = np.empty(bound, dtype=np.uint8)
    ends = np.zeros(batch.shards.shape[0] + 1, dtype=np.int64)
    _encode(
        out,
        ends[1:],
        command,
        prefix,
        layout_and_source,
        constants,
        batch.shards,
        batch.known,
        batch.new,
        batch.call_groups,
        batch.entities,
        batch.hashes,
        batch.group_records,
        renewed,
        batch.records.reshape(-1).view(np.uint8),
    )
    return [out.data[start:end] for start, end in pairwise(ends.tolist())]


def _bulk(argument: bytes) -> bytes:
    return b"$%d\r\n%s\r\n" % (len(argument), argument)


def _bytes(value: bytes) -> NDArray[np.uint8]:
    return np.frombuffer(value, dtype=np.uint8)


@compiled
def _encode(
    out: NDArray[np.uint8],
    ends: NDArray[np.int64],
    command: NDArray[np.uint8],
    prefix: NDArray[np.uint8],
    layout_and_source: NDArray[np.uint8],
    constants: NDArray[np.uint8],
    shards: NDArray[np.int64],
    known: NDArray[np.int64],
    new: NDArray[np.int64],
    call_groups: NDArray[np.int64],
    entities: NDArray[np.int64],
    hashes: NDArray[np.uint64],
    group_records: NDArray[np.int64],
    renewed: NDArray[np.uint8],
    records: NDArray[np.uint8],
) -> None:
    at = 0
    for call in range(shards.shape[0]):
        first, end = call_groups[call], call_groups[call + 1]
        groups = end - first
        shard = shards[call]
        key_length = prefix.shape[0] + _digits(shard) + 3 + 1 + 16  # "}:", letter, ":", 16 digits
        # FCALL, the name, the number of keys; the fence; keys; fixed arguments; records
        at = _number_line(out, at, _STAR, 3 + 1 + groups + _FIXED_ARGUMENTS + groups)
        at = _copy(out, at, command)
        at = _bulk_number(out, at, groups + 1)
        at = _number_line(out, at, _DOLLAR, prefix.shape[0] + _digits(shard) + _FENCE.shape[0])
        at = _number(out, _copy(out, at, prefix), shard)
        at = _end_line(out, _copy(out, at, _FENCE))
        for group in range(first, end):
            at = _number_line(out, at, _DOLLAR, key_length)
            at = _number(out, _copy(out, at, prefix), shard)
            out[at], out[at + 1], out[at + 2], out[at + 3] = _BRACE, _COLON, _LETTERS[entities[group]], _COLON
            at = _end_line(out, _hex(out, at + 4, hashes[group]))
        at = _copy(out, at, layout_and_source)
        at = _bulk_number(out, at, known[call])
        at = _bulk_number(out, at, new[call])
        at = _copy(out, at, constants)
        at = _number_line(out, at, _DOLLAR, groups)
        at = _end_line(out, _copy(out, at, renewed[first:end]))
        for group in range(first, end):
            run = records[group_records[group] * RECORD_BYTES : group_records[group + 1] * RECORD_BYTES]
            at = _number_line(out, at, _DOLLAR, run.shape[0])
            at = _end_line(out, _copy(out, at, run))
        ends[call] = at


@compiled
def _copy(out: NDArray[np.uint8], at: int, value: NDArray[np.uint8]) -> int:
    return write_bytes(value, 0, value.shape[0], at, out)


@compiled
def _end_line(out: NDArray[np.uint8], at: int) -> int:
    out[at], out[at + 1] = _CR, _LF
    return at + 2


@compiled
def _digits(number: int) -> int:
    count = 1 if number >= 0 else 2
    number = abs(number)
    while number >= 10:
        number //= 10
        count += 1
    return count


@compiled
def _number(out: NDArray[np.uint8], at: int, number: int) -> int:
    end = at + _digits(number)
    if number < 0:
        out[at] = ord("-")
        number = -number
    place = end
    while True:
        place -= 1
        out[place] = _ZERO + number % 10
        number //= 10
        if number == 0:
            return end


@compiled
def _number_line(out: NDArray[np.uint8], at: int, mark: int, number: int) -> int:
    out[at] = mark
    return _end_line(out, _number(out, at + 1, number))


@compiled
def _bulk_number(out: NDArray[np.uint8], at: int, number: int) -> int:
    at = _number_line(out, at, _DOLLAR, _digits(number))
    return _end_line(out, _number(out, at, number))


@compiled
def _hex(out: NDArray[np.uint8], at: int, value: int) -> int:
    for place in range(16):
        digit = (value >> np.uint64(4 * (15 - place))) & np.uint64(15)
        out[at + place] = digit + (_ZERO if digit < 10 else _FIRST_HEX_LETTER)
    return at + 16
