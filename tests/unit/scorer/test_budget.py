from hypothesis import given
from hypothesis import strategies as st

from scorer.budget import StageShares, start_budget

SHARES = StageShares(features=0.5, explanation=0.8, idempotency=0.9)
TIMES_NS = st.integers(min_value=0, max_value=10**18)
ALLOWED_MS = st.floats(min_value=0.001, max_value=60_000)
ANY_SHARES = st.lists(st.floats(min_value=0.01, max_value=1), min_size=3, max_size=3).map(
    lambda shares: StageShares(*sorted(shares))
)


def test_stages_end_at_their_parts_of_the_whole() -> None:
    budget = start_budget(now_ns=1_000_000_000, allowed_ms=20, shares=SHARES)

    assert budget.features_ms(1_000_000_000) == 10
    assert budget.features_ms(1_004_000_000) == 6
    assert budget.explanation_ms(1_004_000_000) == 12
    assert budget.idempotency_ms(1_004_000_000) == 14
    assert budget.remaining_ms(1_004_000_000) == 16
    assert budget.features_ms(1_011_000_000) == 0
    assert budget.remaining_ms(1_021_000_000) == -1


@given(now_ns=TIMES_NS, later_ns=st.integers(0, 10**11), allowed_ms=ALLOWED_MS, shares=ANY_SHARES)
def test_no_stage_gets_more_than_what_remains_and_later_ones_not_less(
    now_ns: int, later_ns: int, allowed_ms: float, shares: StageShares
) -> None:
    budget = start_budget(now_ns=now_ns, allowed_ms=allowed_ms, shares=shares)
    at_ns = now_ns + later_ns

    parts = [budget.features_ms(at_ns), budget.explanation_ms(at_ns), budget.idempotency_ms(at_ns)]

    assert parts == sorted(parts)
    assert all(0 <= part <= max(0.0, budget.remaining_ms(at_ns)) + 1e-3 for part in parts)
