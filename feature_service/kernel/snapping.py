"""Where windows of entities with very many records start and end, so that old records can be kept as sums.

A tile stands for the records in one bucket (m * g, (m + 1) * g] of event time, g a power of two. As of t, boundaries
lie on the grid of t: the multiples of g whose age is in [16 * g, 32 * g), for every g. The nearest point of the grid is
at most 1/32 of a boundary's age away, and since it is nearest of one set, boundaries never change places.

A bucket of length h may be a tile from a time T on, if it ends at T - 16 * h or before. Then no point of the grid of
any t >= T lies strictly inside it. For a point of level g that did would be no multiple of h, so h >= 2 * g; the
bucket's end would be at least 16 * h >= 32 * g old, and the point, which is older, not of level g.
"""

from typing import Final

from feature_service.compiled import compiled

GRID: Final = 16  # buckets to an age
MAX_LEVEL: Final = 40  # longer than any horizon


@compiled
def _level(age_ms: int) -> int:
    """Of the longest bucket that fits GRID times into an age of at least GRID."""
    level = 0
    while GRID << (level + 1) <= age_ms:
        level += 1
    return level


@compiled
def bucket_end(time_ms: int, level: int) -> int:
    """The end of the bucket that a time lies in."""
    return -(-time_ms >> level << level)


@compiled
def _next_point(boundary_ms: int, as_of_ms: int, level: int) -> int:
    """The oldest point of the grid that is not older than a boundary of that level."""
    newer = bucket_end(boundary_ms, level)
    if level > 0:
        between = newer - (1 << (level - 1))
        if between >= boundary_ms and as_of_ms - between < GRID << level:
            return between  # in the next younger octave of age points are twice as near
    return newer


@compiled
def snapped(boundary_ms: int, as_of_ms: int) -> int:
    """The nearest point of the grid, the older of two as near; the boundary itself within GRID ms."""
    age_ms = as_of_ms - boundary_ms
    if age_ms < GRID:
        return boundary_ms
    level = _level(age_ms)
    newer = _next_point(boundary_ms, as_of_ms, level)
    if newer == boundary_ms:
        return boundary_ms
    older = bucket_end(boundary_ms, level) - (1 << level)
    if as_of_ms - older >= 2 * GRID << level and (older >> level) & 1:
        older -= 1 << level  # in the next octave of age only every second multiple is on the grid
    return older if boundary_ms - older <= newer - boundary_ms else newer


@compiled
def snapped_up(boundary_ms: int, as_of_ms: int) -> int:
    """The oldest point of the grid that is not older."""
    age_ms = as_of_ms - boundary_ms
    return boundary_ms if age_ms < GRID else _next_point(boundary_ms, as_of_ms, _level(age_ms))


@compiled
def tile_level(time_ms: int, before_ms: int, frontier_ms: int) -> int:
    """Of the longest bucket around a time that may be a tile from the frontier on and ends before a time; -1: none."""
    level = -1
    while level < MAX_LEVEL:
        end_ms = bucket_end(time_ms, level + 1)
        if end_ms >= before_ms or end_ms > frontier_ms - (GRID << (level + 1)):
            break
        level += 1
    return level
