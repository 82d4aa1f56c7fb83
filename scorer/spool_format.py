"""Records as the bytes of a spool's segment, framed so that a torn end is told from a damaged middle. Pure.

segment: `MAGIC`, then frames
frame:   length of the body, CRC-32 of the body, CRC-32 of these two; the body
body:    topic, key, value, number of headers, then each header's name and value; all of them behind their lengths

Numbers are u32, little-endian. A process that is killed while it writes leaves a prefix of what it wrote: the first
frame that is not whole is then the last thing in the file, and its head, if it is there, is sound.
"""

import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from scorer.publication import Record

MAGIC: Final = b"FRAUDSP1"

_U32: Final = struct.Struct("<I")
_CHECKED: Final = struct.Struct("<II")  # the first two numbers of a frame
_HEAD: Final = struct.Struct("<III")

# torn: the end of a write is missing. damaged: what is there is not what was written.
Fault = Literal["torn", "damaged"]


@dataclass(frozen=True, slots=True)
class Segment:
    records: list[Record]  # those before the fault, if there is one
    fault: Fault | None
    sound_bytes: int  # from the start to the fault, or to the end


def frame(record: Record) -> bytes:
    parts = [record.topic.encode(), record.key, record.value]
    headers = [part for name, value in record.headers for part in (name.encode(), value)]
    body = b"".join((*map(_sized, parts), _U32.pack(len(record.headers)), *map(_sized, headers)))
    checked = _CHECKED.pack(len(body), zlib.crc32(body))
    return b"".join((checked, _U32.pack(zlib.crc32(checked)), body))


def read_segment(data: bytes) -> Segment:
    """What is whole in a segment's bytes, whatever these are."""
    if not data.startswith(MAGIC):
        return Segment([], "torn" if MAGIC.startswith(data) else "damaged", 0)
    records: list[Record] = []
    at = len(MAGIC)
    while at < len(data):
        fault, end = _frame_at(data, at)
        if fault is not None:
            return Segment(records, fault, at)
        records.append(_record(data, at + _HEAD.size))
        at = end
    return Segment(records, None, at)


def _frame_at(data: bytes, at: int) -> tuple[Fault | None, int]:
    """What is wrong with the frame that begins there, and where it ends."""
    start = at + _HEAD.size
    if start > len(data):
        return "torn", len(data)
    length, body_sum, head_sum = _HEAD.unpack_from(data, at)
    if zlib.crc32(data[at : at + _CHECKED.size]) != head_sum:
        return "damaged", start
    end = start + length
    if end > len(data):
        return "torn", len(data)
    return ("damaged" if zlib.crc32(data[start:end]) != body_sum else None), end


def _record(data: bytes, at: int) -> Record:
    """From a body that is known to be sound."""
    (topic, key, value), at = _texts(data, at, 3)
    (count,) = _U32.unpack_from(data, at)
    headers, _ = _texts(data, at + _U32.size, 2 * count)
    pairs = zip(headers[::2], headers[1::2], strict=True)
    return Record(topic.decode(), key, value, [(name.decode(), header) for name, header in pairs])


def _texts(data: bytes, at: int, count: int) -> tuple[Sequence[bytes], int]:
    found = []
    for _ in range(count):
        (length,) = _U32.unpack_from(data, at)
        at += _U32.size
        found.append(data[at : at + length])
        at += length
    return found, at


def _sized(part: bytes) -> bytes:
    return _U32.pack(len(part)) + part
