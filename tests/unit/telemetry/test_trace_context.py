from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telemetry.trace_context import TraceContext

contexts = st.builds(TraceContext, st.integers(1, 2**128 - 1), st.integers(1, 2**64 - 1), st.booleans())

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
SPAN = "00f067aa0ba902b7"


@given(contexts)
def test_what_is_written_is_read_back(context: TraceContext) -> None:
    assert TraceContext.parse(context.traceparent()) == context
    assert TraceContext.parse(context.traceparent_bytes()) == context


def test_reads_the_example_of_the_specification() -> None:
    context = TraceContext.parse(f"00-{TRACE}-{SPAN}-01")

    assert context == TraceContext(int(TRACE, 16), int(SPAN, 16), sampled=True)
    assert context.trace_id_hex == TRACE


@pytest.mark.parametrize(("flags", "sampled"), [("00", False), ("01", True), ("02", False), ("03", True), ("ff", True)])
def test_only_the_lowest_flag_means_sampled(flags: str, sampled: bool) -> None:
    context = TraceContext.parse(f"00-{TRACE}-{SPAN}-{flags}")

    assert context is not None
    assert context.sampled is sampled


@pytest.mark.parametrize("later", [f"01-{TRACE}-{SPAN}-01", f"cc-{TRACE}-{SPAN}-01-what-the-future-brings"])
def test_a_later_version_is_read_by_its_first_four_fields(later: str) -> None:
    context = TraceContext.parse(later)

    assert context is not None
    assert context.trace_id_hex == TRACE


@pytest.mark.parametrize(
    "malformed",
    [
        "",
        "00",
        f"00-{TRACE}-{SPAN}",
        f"00-{TRACE}-{SPAN}-01-more",
        f"00-{TRACE}-{SPAN}-01\n",
        f" 00-{TRACE}-{SPAN}-01",
        f"ff-{TRACE}-{SPAN}-01",
        f"01-{TRACE}-{SPAN}-01more",
        f"00-{TRACE.upper()}-{SPAN}-01",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE[:-1]}_-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-0x",
        f"00-{TRACE[:-1]}\u0661-{SPAN}-01",
    ],
)
def test_a_malformed_header_is_no_context(malformed: str) -> None:
    assert TraceContext.parse(malformed) is None
    assert TraceContext.parse(malformed.encode()) is None


def test_no_header_is_no_context() -> None:
    assert TraceContext.parse(None) is None


@given(st.binary())
def test_any_bytes_are_read_or_refused(header: bytes) -> None:
    assert TraceContext.parse(header) is None


def test_a_child_is_another_span_of_the_same_trace() -> None:
    random = Random(1)
    parent = TraceContext.new(random, sampled=True)
    child = parent.child(random)

    assert (child.trace_id, child.sampled) == (parent.trace_id, True)
    assert child.span_id != parent.span_id


def test_a_kept_context_is_the_same_span_flagged_as_sampled() -> None:
    context = TraceContext.new(Random(1))

    assert context.kept() == TraceContext(context.trace_id, context.span_id, sampled=True)


class Zeros(Random):
    def getrandbits(self, k: int, /) -> int:
        return 0


def test_an_id_is_never_zero() -> None:
    context = TraceContext.new(Zeros())

    assert context.trace_id != 0
    assert context.span_id != 0
    assert context.child(Zeros()).span_id != 0
