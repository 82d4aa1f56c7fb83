import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from feature_service.records import DECODED, ENTITY_INDEX
from scorer.canary import Split
from scorer.policy.control_group import ControlGroup

CUSTOMERS = 4_000
SALTS = st.text(min_size=1, max_size=20)
SHARES = st.floats(0.001, 0.999)
UNITS = st.integers(1, 2**64 - 1)


def payments(count: int, **columns: np.ndarray) -> np.ndarray:
    rows = np.zeros(count, dtype=DECODED)
    for name, hashes in columns.items():
        if name == "transaction":
            rows["transaction_hash"] = hashes
        else:
            rows["entity_hash"][:, ENTITY_INDEX[name]] = hashes
    return rows


@given(SALTS, SHARES, st.integers(0, 2**32 - 1))
def test_the_share_of_customers_is_what_was_asked_for(salt: str, share: float, seed: int) -> None:
    customers = np.random.default_rng(seed).integers(1, 2**63, CUSTOMERS, dtype=np.uint64)
    taken = int(Split(share, salt).takes(payments(CUSTOMERS, customer=customers)).sum())
    # Six standard deviations of a binomial: once in a thousand million examples by chance.
    assert abs(taken - share * CUSTOMERS) <= 6 * math.sqrt(share * (1 - share) * CUSTOMERS) + 1


@given(SALTS, SHARES, SHARES, UNITS)
def test_a_larger_share_only_adds(salt: str, one: float, other: float, unit: int) -> None:
    smaller, larger = sorted((one, other))
    assert Split(larger, salt).holds(unit) or not Split(smaller, salt).holds(unit)


@given(SALTS, SHARES, UNITS)
def test_one_customer_is_always_on_the_same_side(salt: str, share: float, unit: int) -> None:
    rows = payments(
        3,
        customer=np.full(3, unit, dtype=np.uint64),
        card=np.array([1, 2, 3], dtype=np.uint64),
        transaction=np.array([7, 8, 9], dtype=np.uint64),
    )
    assert Split(share, salt).takes(rows).tolist() == [Split(share, salt).holds(unit)] * 3


def test_without_a_customer_it_goes_by_the_card_and_without_either_by_the_payment() -> None:
    hashes = np.arange(1, 501, dtype=np.uint64)
    split = Split(0.4, "spring")
    expected = [split.holds(unit) for unit in hashes.tolist()]
    for name in ("customer", "card", "transaction"):
        assert split.takes(payments(500, **{name: hashes})).tolist() == expected


def test_another_salt_draws_others_and_so_does_a_control_group_of_the_same_salt() -> None:
    units = range(1, 4_001)
    drawn = [Split(0.5, "spring").holds(unit) for unit in units]
    for other in (Split(0.5, "summer"), ControlGroup(share=0.5, salt="spring")):
        same = sum(one == other.holds(unit) for one, unit in zip(drawn, units, strict=True))
        assert abs(same - 2_000) < 6 * math.sqrt(1_000)
