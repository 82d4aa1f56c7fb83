"""Many decisions written at once are those written one by one; what they are, the writer's test tells."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from scorer.decision_bytes import write_decisions, write_few
from scorer.decision_parts import NOT_KNOWN, Parts
from scorer.many_decisions import write_many

HEADS = [b"", b"\x18\x01", b"\x0a" * 200]
DECISIONS = st.lists(
    st.tuples(
        st.integers(0, len(HEADS) - 1),
        st.floats(),
        st.binary(max_size=200),
        st.binary(min_size=16, max_size=16),
        st.integers(1, 2**128 - 1),
        st.just(NOT_KNOWN) | st.integers(0, 2**63 - 1),
        st.binary(max_size=300),
        st.lists(st.floats(), max_size=20).map(np.array),
        st.binary(max_size=2_000),
        st.booleans(),
    ),
    min_size=1,
    max_size=20,
)


@settings(deadline=None)  # the first call compiles
@given(decisions=DECISIONS)
def test_many_are_written_as_few_are(decisions: list[tuple[object, ...]]) -> None:
    parts = Parts(HEADS, *(list(column) for column in zip(*decisions, strict=True)))

    few = write_few(parts)

    assert write_many(parts) == few
    assert write_decisions(parts) == few
