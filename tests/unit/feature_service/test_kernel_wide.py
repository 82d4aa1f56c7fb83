from hypothesis import example, given, settings
from hypothesis import strategies as st

from feature_service.compiled import compiled
from feature_service.kernel.wide import wide_float, wide_product, wide_sum

PROFILE = settings(max_examples=500, derandomize=True, deadline=None)
INT64 = st.integers(-(2**63), 2**63 - 1)


def value(words: tuple[int, int]) -> int:
    high, low = words
    return (high << 64) + low % 2**64


def words(number: int) -> tuple[int, int]:
    low = number % 2**64
    return number >> 64, low - 2**64 if low >= 2**63 else low


@given(a=INT64, b=INT64)
@example(a=-(2**63), b=-(2**63))
@example(a=-1, b=-1)
@PROFILE
def test_a_product_is_exact(a: int, b: int) -> None:
    assert value(wide_product(a, b)) == a * b


@given(a=st.integers(-(2**126), 2**126 - 1), b=st.integers(-(2**126), 2**126 - 1))
@example(a=2**64 - 1, b=1)
@example(a=-1, b=1)
@PROFILE
def test_a_sum_is_exact(a: int, b: int) -> None:
    assert value(wide_sum(*words(a), *words(b))) == a + b


@given(number=st.integers(0, 2**127 - 1))
@PROFILE
def test_the_nearest_float_may_miss_its_last_bit(number: int) -> None:
    assert abs(wide_float(*words(number)) - float(number)) <= float(number) * 2**-52


@compiled
def _sum_of_squares(amount: int, count: int) -> tuple[int, int]:
    high, low = 0, 0
    for _ in range(count):
        more_high, more_low = wide_product(amount, amount)
        high, low = wide_sum(high, low, more_high, more_low)
    return high, low


def test_a_million_squares_of_the_largest_amount_fit() -> None:
    assert value(_sum_of_squares(2**47 - 1, 1_000_000)) == 1_000_000 * (2**47 - 1) ** 2
