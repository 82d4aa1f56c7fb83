"""Many W3C traceparents at once, as columns: what `TraceContext.parse` says of one, compiled."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from feature_service.compiled import compiled
from telemetry.trace_context import TraceContext

# Columns of traces, (n, 4) uint64: the trace's id in two halves, the span's id, 0 or 1 for sampled. All 0: no trace.
HIGH: Final = 0
LOW: Final = 1
SPAN: Final = 2
SAMPLED: Final = 3

_TRACEPARENT_BYTES: Final = 55  # of version 00
_COLUMNS: Final = 4
_WORD_BITS: Final = 64
_HYPHEN: Final = ord("-")
_NEWLINE: Final = ord("\n")
_NO_DIGIT: Final = -1
_FORBIDDEN_VERSION: Final = 0xFF


def read_traceparents(
    buffer: NDArray[np.uint8], starts: NDArray[np.int64], lengths: NDArray[np.int64]
) -> NDArray[np.uint64]:
    """Traces (n, 4) of the traceparents that lie in `buffer` at `starts` (n,), of `lengths` (n,).

    Zeros where there is none or it is malformed: W3C says to start a new trace then.
    """
    traces = np.zeros((starts.shape[0], _COLUMNS), dtype=np.uint64)
    _read_all(buffer, starts, lengths, traces)
    return traces


def contexts_of(traces: NDArray[np.uint64]) -> list[TraceContext | None]:
    """Of (n, 4)."""
    return [
        TraceContext(high << _WORD_BITS | low, span, bool(sampled)) if span else None
        for high, low, span, sampled in traces.tolist()
    ]


@compiled
def _read_all(
    buffer: NDArray[np.uint8], starts: NDArray[np.int64], lengths: NDArray[np.int64], traces: NDArray[np.uint64]
) -> None:
    for row in range(starts.shape[0]):
        if not _read(buffer, starts[row], lengths[row], traces[row]):
            traces[row] = 0


@compiled
def _read(buffer: NDArray[np.uint8], start: int, length: int, trace: NDArray[np.uint64]) -> bool:
    if length < _TRACEPARENT_BYTES:
        return False
    for hyphen in (2, 35, 52):
        if buffer[start + hyphen] != _HYPHEN:
            return False
    version, is_hex = _hex(buffer, start, 2)
    if not is_hex or version == _FORBIDDEN_VERSION:
        return False
    if length > _TRACEPARENT_BYTES:  # a later version may append fields after another hyphen
        if version == 0 or buffer[start + _TRACEPARENT_BYTES] != _HYPHEN:
            return False
        for place in range(start + _TRACEPARENT_BYTES, start + length):
            if buffer[place] == _NEWLINE:
                return False
    trace[HIGH], high_is_hex = _hex(buffer, start + 3, 16)
    trace[LOW], low_is_hex = _hex(buffer, start + 19, 16)
    trace[SPAN], span_is_hex = _hex(buffer, start + 36, 16)
    flags, flags_are_hex = _hex(buffer, start + 53, 2)
    trace[SAMPLED] = flags & np.uint64(1)
    all_hex = high_is_hex and low_is_hex and span_is_hex and flags_are_hex
    return all_hex and trace[HIGH] | trace[LOW] != 0 and trace[SPAN] != 0


@compiled
def _hex(buffer: NDArray[np.uint8], start: int, digits: int) -> tuple[np.uint64, bool]:
    """The number, and whether all are digits, in lower case."""
    number, all_digits = np.uint64(0), True
    for place in range(start, start + digits):
        byte = buffer[place]
        digit = byte - 48 if 48 <= byte <= 57 else byte - 87 if 97 <= byte <= 102 else _NO_DIGIT
        all_digits = all_digits and digit != _NO_DIGIT
        number = number << np.uint64(4) | np.uint64(digit & 0xF)
    return number, all_digits
