"""W3C Trace Context: where in which trace something happened. Pure: randomness is an argument.

A context is made before its span exists, so that an alert's header can name the span that decided it; the span itself
is emitted later (`telemetry.spans`).
"""

import re
from random import Random
from typing import Final, NamedTuple, Self

_TRACE_ID_BITS: Final = 128
_SPAN_ID_BITS: Final = 64
_SAMPLED: Final = 0x01

# Version 00 is exactly this long; a later version may append fields after another hyphen. Version ff is forbidden.
_VERSION_00: Final = re.compile(rb"00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})")
_LATER_VERSION: Final = re.compile(rb"(?!00|ff)[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(?:-.*)?")


class TraceContext(NamedTuple):
    """The ids of one span: `trace_id` has 128 bits, `span_id` 64, neither is 0. A tuple: one is made for each event."""

    trace_id: int
    span_id: int
    sampled: bool

    @classmethod
    def new(cls, random: Random, *, sampled: bool = False) -> Self:
        """The root of a new trace."""
        return cls(_nonzero(random, _TRACE_ID_BITS), _nonzero(random, _SPAN_ID_BITS), sampled)

    @classmethod
    def parse(cls, traceparent: bytes | str | None) -> Self | None:
        """The sender's context, or None where there is none or it is malformed: W3C says to start a new trace then."""
        if traceparent is None:
            return None
        if isinstance(traceparent, str):
            if not traceparent.isascii():
                return None
            traceparent = traceparent.encode("ascii")
        match = _VERSION_00.fullmatch(traceparent) or _LATER_VERSION.fullmatch(traceparent)
        if match is None:
            return None
        trace_hex, span_hex, flags_hex = match.groups()
        trace_id, span_id = int(trace_hex, 16), int(span_hex, 16)
        if trace_id == 0 or span_id == 0:
            return None
        return cls(trace_id, span_id, bool(int(flags_hex, 16) & _SAMPLED))

    def child(self, random: Random) -> "TraceContext":
        """The context of a span inside this one."""
        return TraceContext(self.trace_id, _nonzero(random, _SPAN_ID_BITS), self.sampled)

    def kept(self) -> "TraceContext":
        """The same span, marked so that those who are called next keep theirs too."""
        return self if self.sampled else TraceContext(self.trace_id, self.span_id, True)

    def traceparent(self) -> str:
        """For gRPC metadata and the contract's `traceparent` fields."""
        return self.traceparent_bytes().decode("ascii")

    def traceparent_bytes(self) -> bytes:
        """For Kafka headers."""
        return b"00-%032x-%016x-%02x" % self

    @property
    def trace_id_hex(self) -> str:
        """32 lower-case hexadecimal digits, as in logs and `Decision.trace_id`."""
        return f"{self.trace_id:032x}"


def _nonzero(random: Random, bits: int) -> int:
    # 0 means "no id" on the wire.
    return random.getrandbits(bits) or 1
