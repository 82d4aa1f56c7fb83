"""The lanes of a plan: one walk over an entity's members, newest to oldest, with a snapshot where a window ends.

Sums are exact in integers; squares, the one sum that is not, are added in canonical order, so that the same set gives
the same bits. They are taken of the difference to the newest amount, which is in every window of a lane: equal amounts
have a deviation of exactly 0, and n amounts lose at most a factor n of precision, however near each other they are.
Those of older records (`older`) are exact integers, and so are their squares.

`lane` is a row of PlanArrays, `windows` and `outputs` are its tables: to hand all tables over costs as much as a lane.
"""

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray

from feature_service.catalogue.definitions import Statistic
from feature_service.compiled import compiled
from feature_service.kernel.canonical import CURRENT, FRAUD
from feature_service.kernel.groups import FRAUDS, GROUP_INPUTS
from feature_service.kernel.older import (
    AMOUNTS,
    COUNT,
    HIGHEST,
    LOWEST,
    SQUARES_HIGH,
    SQUARES_LOW,
    TOTAL,
    add_sum,
    clear_sums,
)
from feature_service.kernel.wide import wide_float, wide_product, wide_sum
from feature_service.kernel.words import M_AMOUNT, M_ATTRIBUTE, M_FLAGS, M_LOCATION, M_TIME
from feature_service.plan import LaneKind
from feature_service.records import MISSING_INT32, MISSING_INT64

_COUNT, _SUM, _MEAN = int(Statistic.COUNT), int(Statistic.AMOUNT_SUM), int(Statistic.AMOUNT_MEAN)
_STD, _MIN, _MAX = int(Statistic.AMOUNT_STD), int(Statistic.AMOUNT_MIN), int(Statistic.AMOUNT_MAX)
_FRAUDS, _FRAUD_RATE = int(Statistic.FRAUD_COUNT), int(Statistic.FRAUD_RATE)
_DISTINCT, _PREVIOUS = int(LaneKind.DISTINCT), int(LaneKind.PREVIOUS)
_EARTH_RADIUS_KM: Final = 6371.0088  # mean


@compiled
def _squares_around(pivot: int, older: NDArray[np.int64]) -> float:
    """Of a sum, the squared differences of its amounts to the pivot: exact, then rounded."""
    high, low = wide_product(pivot, older[AMOUNTS] * pivot - 2 * older[TOTAL])
    high, low = wide_sum(older[SQUARES_HIGH], older[SQUARES_LOW], high, low)
    return wide_float(high, low)


@compiled
def walk_moments(
    members: NDArray[np.int64],
    found: int,
    as_of_ms: int,
    lane: NDArray[np.int64],
    windows: NDArray[np.int64],
    outputs: NDArray[np.int64],
    minor_per_major: float,
    has_older: bool,
    sums: NDArray[np.int64],
    values: NDArray[np.float64],
) -> None:
    """`sums`: of what is older than the members, by segment (see `older`); the last one is for scratch."""
    wanted = 1 << lane[1]
    barred = 0 if lane[3] else CURRENT
    end_ms = as_of_ms - lane[4]
    count, amounts, frauds, total = 0, 0, 0, 0
    origin, squares = 0, 0.0
    low, high = np.iinfo(np.int64).max, np.iinfo(np.int64).min
    older, segment, older_frauds = sums[-1, 0], lane[7] + 1, 0
    if has_older:
        clear_sums(sums[-1])
    position = found - 1
    while position >= 0 and members[position, M_TIME] > end_ms:
        position -= 1
    for window in range(lane[5], lane[6]):
        start_ms = end_ms - windows[window, 0]
        while position >= 0 and members[position, M_TIME] > start_ms:
            flags = members[position, M_FLAGS]
            if flags & wanted and not flags & barred:
                count += 1
                frauds += (flags & FRAUD) != 0
                amount = members[position, M_AMOUNT]
                if amount != MISSING_INT64:
                    if amounts == 0:
                        origin = amount
                    amounts += 1
                    total += amount
                    squares += float(amount - origin) ** 2
                    low = min(low, amount)
                    high = max(high, amount)
            position -= 1
        if has_older:
            while segment <= windows[window, 3]:
                older_frauds += sums[segment, FRAUDS, COUNT]
                for group in range(FRAUDS):
                    if GROUP_INPUTS[group] & wanted:
                        add_sum(older, sums[segment, group])
                segment += 1
            n, n_frauds = count + older[COUNT], frauds + older_frauds
            n_amounts, n_total = amounts + older[AMOUNTS], total + older[TOTAL]
            n_low, n_high = min(low, older[LOWEST]), max(high, older[HIGHEST])
            pivot = older[TOTAL] // older[AMOUNTS] if amounts == 0 and older[AMOUNTS] > 0 else origin
            n_squares = squares + _squares_around(pivot, older)
        else:
            n, n_frauds, n_amounts, n_total = count, frauds, amounts, total
            n_low, n_high, pivot, n_squares = low, high, origin, squares
        for output in range(windows[window, 1], windows[window, 2]):
            statistic = outputs[output, 0]
            value = math.nan
            if statistic == _COUNT:
                value = float(n)
            elif statistic == _SUM:
                value = n_total / minor_per_major
            elif statistic == _FRAUDS:
                value = float(n_frauds)
            elif statistic == _FRAUD_RATE:
                value = n_frauds / n if n else 0.0
            elif statistic == _STD:
                if n_amounts > 1:
                    step = float(n_total - n_amounts * pivot)
                    variance = (n_squares - step * step / n_amounts) / (n_amounts - 1)
                    value = math.sqrt(max(variance, 0.0)) / minor_per_major
            elif n_amounts:
                if statistic == _MEAN:
                    value = n_total / (n_amounts * minor_per_major)
                elif statistic == _MIN:
                    value = n_low / minor_per_major
                elif statistic == _MAX:
                    value = n_high / minor_per_major
            values[outputs[output, 1]] = value


@compiled
def walk_attribute(
    members: NDArray[np.int64],
    found: int,
    as_of_ms: int,
    lane: NDArray[np.int64],
    windows: NDArray[np.int64],
    outputs: NDArray[np.int64],
    same_as: int,
    table: NDArray[np.int64],
    values: NDArray[np.float64],
) -> None:
    """DISTINCT: different values of the attribute; SAME: records that share the current transaction's (`same_as`)."""
    wanted = 1 << lane[1]
    barred = 0 if lane[3] else CURRENT
    column = M_ATTRIBUTE + lane[2]
    end_ms = as_of_ms - lane[4]
    distinct = lane[0] == _DISTINCT
    size = 4
    while size < 2 * found + 2:
        size *= 2
    mask = size - 1
    if distinct:
        table[:size] = 0
    count = 0
    position = found - 1
    while position >= 0 and members[position, M_TIME] > end_ms:
        position -= 1
    for window in range(lane[5], lane[6]):
        start_ms = end_ms - windows[window, 0]
        while position >= 0 and members[position, M_TIME] > start_ms:
            flags = members[position, M_FLAGS]
            value = members[position, column]
            position -= 1
            if value == 0 or not flags & wanted or flags & barred:
                continue
            if not distinct:
                count += value == same_as
                continue
            place = value & mask
            while table[place] != 0 and table[place] != value:
                place = (place + 1) & mask
            if table[place] == 0:
                table[place] = value
                count += 1
        result = float(count) if distinct or same_as != 0 else math.nan
        for output in range(windows[window, 1], windows[window, 2]):
            values[outputs[output, 1]] = result


@compiled
def _latitude(location: int) -> int:
    """Microdegrees, from the low half of the word, sign kept."""
    return ((location & 0xFFFFFFFF) ^ 0x80000000) - 0x80000000


@compiled
def distance_km(location: int, other: int) -> float:
    """Great-circle distance of two packed locations (haversine on the mean sphere)."""
    to_radians = math.pi / 180e6
    latitude, other_latitude = _latitude(location) * to_radians, _latitude(other) * to_radians
    longitude_step = ((other >> 32) - (location >> 32)) * to_radians
    a = math.sin((other_latitude - latitude) / 2.0) ** 2
    b = math.cos(latitude) * math.cos(other_latitude) * math.sin(longitude_step / 2.0) ** 2
    return 2.0 * _EARTH_RADIUS_KM * math.asin(math.sqrt(min(a + b, 1.0)))


@compiled
def newest_other(
    members: NDArray[np.int64],
    found: int,
    as_of_ms: int,
    lane: NDArray[np.int64],
    windows: NDArray[np.int64],
    outputs: NDArray[np.int64],
    current_location: int,
    values: NDArray[np.float64],
) -> None:
    """SECONDS_SINCE_PREVIOUS and TRAVEL_SPEED_KMH: from the newest record that is not the current one."""
    wanted = 1 << lane[1]
    located = lane[0] != _PREVIOUS
    result = math.nan
    if not located or _latitude(current_location) != MISSING_INT32:
        for position in range(found - 1, -1, -1):
            flags = members[position, M_FLAGS]
            if not flags & wanted or flags & CURRENT:
                continue
            seconds = (as_of_ms - members[position, M_TIME]) / 1000.0
            if not located:
                result = seconds
                break
            location = members[position, M_LOCATION]
            if _latitude(location) != MISSING_INT32:
                result = distance_km(current_location, location) / (max(seconds, 1.0) / 3600.0)
                break
    for output in range(windows[lane[5], 1], windows[lane[5], 2]):
        values[outputs[output, 1]] = result
