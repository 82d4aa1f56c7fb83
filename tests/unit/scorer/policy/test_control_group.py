import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from feature_service.records import DECODED, ENTITY_INDEX
from scorer.policy.control_group import ControlGroup, units

SHARES = st.floats(min_value=0.001, max_value=0.999)
UNITS = st.integers(min_value=1, max_value=2**64 - 1)


@settings(deadline=None)
@given(UNITS, SHARES, SHARES, st.text(min_size=1))
def test_a_larger_share_has_all_of_a_smaller_one(unit: int, a: float, b: float, salt: str) -> None:
    smaller, larger = (ControlGroup(share=share, salt=salt) for share in (min(a, b), max(a, b)))
    assert larger.holds(unit) >= smaller.holds(unit)


@settings(deadline=None)
@given(st.sampled_from([0.01, 0.1, 0.5]), st.integers(0, 10**6))
def test_the_share_is_that_of_units_whatever_the_salt(share: float, seed: int) -> None:
    count = 4_000
    drawn = np.random.default_rng(seed).integers(1, 2**64, count, dtype=np.uint64).tolist()
    group = ControlGroup(share=share, salt=str(seed))
    held = sum(map(group.holds, drawn))
    # 7 standard deviations of the binomial: one run in 10**11 lies beyond.
    assert abs(held - share * count) < 7 * (count * share * (1 - share)) ** 0.5


@settings(deadline=None)
@given(st.integers(0, 10**6))
def test_another_salt_draws_another_group(seed: int) -> None:
    """Of those whom one holds, the other holds the share that it holds of all."""
    drawn = np.random.default_rng(seed).integers(1, 2**64, 4_000, dtype=np.uint64).tolist()
    one, other = (ControlGroup(share=0.5, salt=f"{seed}-{name}") for name in ("one", "other"))
    held = [unit for unit in drawn if one.holds(unit)]
    both = sum(map(other.holds, held))
    assert abs(both - len(held) / 2) < 7 * (len(held) / 4) ** 0.5


def test_a_unit_is_drawn_alike_for_ever() -> None:
    """What is drawn must not change with a release: these were computed once."""
    group = ControlGroup(share=0.25, salt="spring")
    assert [unit for unit in range(1, 40) if group.holds(unit)] == [9, 12, 14, 18, 19, 20, 24, 27, 29, 30, 35]


def test_the_customer_is_drawn_without_one_the_card_without_either_the_payment() -> None:
    rows = np.zeros(3, dtype=DECODED)
    rows["transaction_hash"] = [1, 2, 3]
    rows["entity_hash"][0, ENTITY_INDEX["customer"]] = 2**64 - 1
    rows["entity_hash"][:2, ENTITY_INDEX["card"]] = [11, 12]
    assert units(rows) == [2**64 - 1, 12, 3]
