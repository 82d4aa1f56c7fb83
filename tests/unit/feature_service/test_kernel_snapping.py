"""Boundaries move by 1/32 of their age at most, keep their order, and part no bucket that may be a tile."""

from hypothesis import given, settings
from hypothesis import strategies as st

from feature_service.catalogue.definitions import HORIZON_MS
from feature_service.kernel.snapping import GRID, bucket_end, snapped, snapped_up, tile_level
from tests.oracle.features import moved_boundary

TIMES_MS = st.integers(-(10**9), 2_000_000_000_000)
AGES_MS = st.integers(0, HORIZON_MS) | st.integers(0, 5_000) | st.sampled_from([16 << level for level in range(28)])
PROFILE = settings(max_examples=2_000, derandomize=True, deadline=None)


@given(as_of_ms=TIMES_MS, age_ms=AGES_MS)
@PROFILE
def test_a_boundary_moves_to_the_nearest_point_of_the_grid(as_of_ms: int, age_ms: int) -> None:
    boundary_ms = as_of_ms - age_ms
    moved_ms = snapped(boundary_ms, as_of_ms)
    assert 32 * abs(moved_ms - boundary_ms) <= age_ms
    if moved_ms >= snapped_up(as_of_ms - HORIZON_MS, as_of_ms) and age_ms > 0:
        assert moved_ms == moved_boundary(boundary_ms, as_of_ms, as_of_ms + 1)


@given(as_of_ms=TIMES_MS, ages_ms=st.tuples(AGES_MS, AGES_MS | st.integers(0, 100)))
@PROFILE
def test_boundaries_keep_their_order(as_of_ms: int, ages_ms: tuple[int, int]) -> None:
    newer_ms, older_ms = as_of_ms - ages_ms[0], as_of_ms - ages_ms[0] - ages_ms[1]
    assert snapped(older_ms, as_of_ms) <= snapped(newer_ms, as_of_ms)


@given(as_of_ms=TIMES_MS, age_ms=AGES_MS)
@PROFILE
def test_the_oldest_point_in_the_horizon_is_a_sixteenth_of_its_age_away_at_most(as_of_ms: int, age_ms: int) -> None:
    boundary_ms = as_of_ms - age_ms
    moved_ms = snapped_up(boundary_ms, as_of_ms)
    assert 0 <= 16 * (moved_ms - boundary_ms) <= age_ms
    assert snapped(moved_ms, as_of_ms) == moved_ms


@given(frontier_ms=TIMES_MS, age_ms=AGES_MS, later_ms=AGES_MS, inside=st.floats(0, 1), before_ms=AGES_MS)
@PROFILE
def test_no_later_boundary_parts_a_bucket_that_may_be_a_tile(
    frontier_ms: int, age_ms: int, later_ms: int, inside: float, before_ms: int
) -> None:
    time_ms = frontier_ms - age_ms
    level = tile_level(time_ms, frontier_ms - before_ms, frontier_ms)
    if level < 0:
        assert bucket_end(time_ms, 0) >= min(frontier_ms - before_ms, frontier_ms - GRID + 1)
        return
    end_ms = bucket_end(time_ms, level)
    start_ms = end_ms - (1 << level)
    assert start_ms < time_ms <= end_ms < frontier_ms - before_ms
    boundary_ms = start_ms + round((end_ms - start_ms) * inside)
    as_of_ms = frontier_ms + later_ms
    for moved_ms in (snapped(boundary_ms, as_of_ms), snapped_up(boundary_ms, as_of_ms)):
        assert not start_ms < moved_ms < end_ms


@given(frontier_ms=TIMES_MS, age_ms=AGES_MS, later_ms=AGES_MS)
@PROFILE
def test_buckets_grow_and_nest_as_time_goes_on(frontier_ms: int, age_ms: int, later_ms: int) -> None:
    time_ms = frontier_ms - age_ms
    level = tile_level(time_ms, frontier_ms, frontier_ms)
    later = tile_level(time_ms, frontier_ms + later_ms, frontier_ms + later_ms)
    assert later >= level
    if level >= 0:
        assert tile_level(bucket_end(time_ms, level), frontier_ms + later_ms, frontier_ms + later_ms) == later
        assert bucket_end(bucket_end(time_ms, level), later) == bucket_end(time_ms, later)
