import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.baseline import by_deciles, by_edges

VALUES = st.lists(st.floats(min_value=-1e6, max_value=1e6) | st.just(float("nan")), min_size=1)


@given(VALUES)
def test_shares_add_up_and_belong_to_their_bins(values: list[float]) -> None:
    array = np.array(values)
    found = by_deciles(array)
    present = array[~np.isnan(array)]
    assert found.missing == pytest.approx(1 - len(present) / len(array))
    if len(present) == 0:
        assert (found.mean, found.shares) == (None, ())
        return
    assert len(found.shares) == len(found.edges) + 1
    assert sum(found.shares) == pytest.approx(1.0)
    for edge_index, edge in enumerate(found.edges):
        assert sum(found.shares[: edge_index + 1]) == pytest.approx((present < edge).mean())


def test_deciles_of_even_values_hold_a_tenth_each() -> None:
    assert by_deciles(np.arange(1000.0)).shares == pytest.approx([0.1] * 10, abs=0.002)


def test_given_edges_are_kept() -> None:
    found = by_edges(np.array([0.0, 0.1, 0.5, 0.9]), (0.1, 0.9))
    assert (found.edges, found.shares) == ((0.1, 0.9), (0.25, 0.5, 0.25))
