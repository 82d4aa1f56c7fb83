"""Columns of traces say what TraceContext says of one."""

from typing import Final

import numpy as np
from hypothesis import example, given, settings
from hypothesis import strategies as st

from feature_service.traceparents import contexts_of, read_traceparents
from telemetry.trace_context import TraceContext

TRACEPARENT: Final = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

contexts = st.builds(
    TraceContext,
    st.integers(1, 2**128 - 1),
    st.integers(1, 2**64 - 1),
    st.booleans(),
)
hex_digits = st.text("0123456789abcdef", min_size=2, max_size=2)
well_formed = st.builds(
    lambda version, context, flags, rest: (f"{version}{context.traceparent()[2:-2]}{flags}{rest}").encode(),
    hex_digits | st.just("00"),
    contexts,
    hex_digits,
    st.sampled_from(["", "-", "-more", "more", "-\n"]),
)
broken = st.builds(
    lambda place, byte: TRACEPARENT[:place] + bytes([byte]) + TRACEPARENT[place + 1 :],
    st.integers(0, len(TRACEPARENT) - 1),
    st.integers(0, 255),
)


def read(values: list[bytes]) -> list[TraceContext | None]:
    lengths = np.array([len(value) for value in values], dtype=np.int64)
    traces = read_traceparents(np.frombuffer(b"".join(values), dtype=np.uint8), np.cumsum(lengths) - lengths, lengths)
    return contexts_of(traces)


@settings(deadline=None)
@given(st.lists(well_formed | broken | st.binary(max_size=70), max_size=8))
@example(
    [
        TRACEPARENT,
        b"",
        TRACEPARENT.upper(),
        b"00-" + b"0" * 32 + TRACEPARENT[35:],
        TRACEPARENT[:36] + b"0" * 16 + b"-01",
    ]
)
@example([b"ff" + TRACEPARENT[2:], b"01" + TRACEPARENT[2:], b"01" + TRACEPARENT[2:] + b"-x", TRACEPARENT + b"-x"])
def test_many_are_read_as_one_is(values: list[bytes]) -> None:
    assert read(values) == [TraceContext.parse(value) for value in values]
