"""Numbers one can check by hand; that they hold everywhere is test_kernel_oracle's part."""

import math
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from feature_service.catalogue.definitions import HOUR_MS
from feature_service.kernel.lanes import distance_km
from feature_service.plan import make_plan
from tests.oracle.features import distance_km as distance_by_vectors
from tests.oracle.kernel_calls import kernel_vectors
from tests.oracle.payments import Payment, decoded, histories_of, packed

NOW_MS = 1_700_000_000_000
CURRENT = Payment(
    transaction=99, time_ms=NOW_MS, amount_minor=5_000, entities={"customer": 7, "terminal": 8}, merchant_country=83
)


def feature(name: str, *events: Payment, current: Payment = CURRENT) -> float:
    values, _ = kernel_vectors(make_plan([name]), [current], histories_of(events))
    return float(values[0, 0])


def paid(amount_minor: int | None, *, ago_ms: int, transaction: int = 0) -> Payment:
    return replace(CURRENT, transaction=transaction or 1 + ago_ms, time_ms=NOW_MS - ago_ms, amount_minor=amount_minor)


def test_the_mean_is_of_the_amounts_there_are_and_counts_the_current_one() -> None:
    earlier = (paid(1_000, ago_ms=1), paid(None, ago_ms=2))
    assert feature("customer_count_1d", *earlier) == 3
    assert feature("customer_amount_mean_1d", *earlier) == 30.0
    assert feature("customer_amount_mean_1d_before", *earlier) == 10.0


def test_two_amounts_have_the_deviation_of_a_sample() -> None:
    spread = feature("customer_amount_std_30d_before", paid(1_000, ago_ms=1), paid(3_000, ago_ms=2))
    assert spread == pytest.approx(math.sqrt(200.0))
    assert math.isnan(feature("customer_amount_std_30d_before", paid(1_000, ago_ms=1)))


def test_a_ratio_to_nothing_is_missing() -> None:
    free = [paid(0, ago_ms=ago_ms) for ago_ms in (1, 2)]
    assert feature("customer_amount_mean_1d_before", *free) == 0.0
    assert math.isnan(feature("amount_over_customer_amount_mean_1d_before", *free))


@pytest.mark.parametrize("amount_minor", [99_999, 33_333_333_333, 2**47 - 1])
def test_equal_amounts_have_no_deviation_however_large(amount_minor: int) -> None:
    history = [paid(amount_minor, ago_ms=ago_ms) for ago_ms in range(1, 200)]
    assert feature("customer_amount_std_30d_before", *history) == 0.0
    assert math.isnan(feature("amount_z_score_customer_30d", *history))


def test_large_amounts_near_each_other_keep_their_deviation() -> None:
    history = [paid(2**47 - 1 - ago_ms % 2, ago_ms=ago_ms) for ago_ms in range(1, 201)]
    assert feature("customer_amount_std_30d_before", *history) == pytest.approx(math.sqrt(50 / 199) / 100, rel=1e-9)


def test_the_previous_one_may_be_of_the_same_millisecond() -> None:
    assert feature("customer_seconds_since_previous", paid(1, ago_ms=0, transaction=5)) == 0.0
    assert feature("customer_seconds_since_previous", paid(1, ago_ms=1_500)) == 1.5
    assert math.isnan(feature("customer_seconds_since_previous"))


def test_speed_is_over_at_least_a_second() -> None:
    here = replace(CURRENT, location=(0, 0))
    one_degree_east = replace(paid(1, ago_ms=0, transaction=5), location=(0, 1_000_000))
    per_degree_km = math.pi * 6371.0088 / 180
    assert feature("customer_travel_speed_kmh", one_degree_east, current=here) == pytest.approx(per_degree_km * 3_600)
    an_hour_ago = replace(one_degree_east, time_ms=NOW_MS - HOUR_MS)
    assert feature("customer_travel_speed_kmh", an_hour_ago, current=here) == pytest.approx(per_degree_km)
    assert math.isnan(feature("customer_travel_speed_kmh", an_hour_ago))  # the current one has no location


def test_a_country_is_new_until_it_was_seen() -> None:
    assert feature("customer_new_country") == 1.0
    assert feature("customer_new_country", paid(1, ago_ms=1)) == 0.0
    assert feature("customer_new_country", replace(paid(1, ago_ms=1), merchant_country=84)) == 1.0
    assert math.isnan(feature("customer_new_country", current=replace(CURRENT, merchant_country=0)))


POINTS = st.tuples(st.integers(-90_000_000, 90_000_000), st.integers(-180_000_000, 180_000_000))


@given(a=POINTS, b=POINTS)
@settings(max_examples=200, derandomize=True, deadline=None)
def test_distance_agrees_with_the_angle_in_space(a: tuple[int, int], b: tuple[int, int]) -> None:
    words = [int(packed(decoded([replace(CURRENT, location=point)]))[0, 0, 8]) for point in (a, b)]
    assert distance_km(*words) == pytest.approx(distance_by_vectors(a, b), rel=1e-8, abs=1e-3)


def test_distance_between_two_known_cities() -> None:
    london, paris = (51_507_400, -127_800), (48_856_600, 2_352_200)
    words = [int(packed(decoded([replace(CURRENT, location=point)]))[0, 0, 8]) for point in (london, paris)]
    assert distance_km(*words) == pytest.approx(343.6, abs=0.1)
