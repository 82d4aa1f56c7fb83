"""The grid, its countries, and who is within reach."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from training.simulator.geography import COUNTRIES, FAR_PLACES, coordinates, countries, within


@given(st.integers(0, 2**32), st.integers(1, 60), st.sampled_from([1.0, 5.0, 30.0]))
def test_within_finds_what_looking_at_every_pair_finds_or_the_nearest(seed: int, places: int, radius: float) -> None:
    random = np.random.default_rng(seed)
    centre, place = random.uniform(0, 100, (10, 2)), random.uniform(0, 100, (places, 2))
    found, offsets = within(centre, place, radius)
    for index in range(10):
        distance = np.hypot(*(place - centre[index]).T)
        expected = np.flatnonzero(distance <= radius)
        if not len(expected):
            expected = np.array([np.argmin(distance)])
        assert sorted(found[offsets[index] : offsets[index + 1]].tolist()) == expected.tolist()


def test_a_grid_unit_is_about_a_kilometre() -> None:
    (south, west), (north, east) = coordinates(np.array([[0.0, 0.0], [1.0, 1.0]]))
    assert 0.9 < (north - south) * 111.2 < 1.1
    assert 0.9 < (east - west) * 111.2 * np.cos(np.radians(south)) < 1.1


def test_the_grid_has_all_three_countries_where_they_are() -> None:
    cities = np.array([(50.63, 5.57), (50.85, 5.69), (50.78, 6.08)])  # Liège, Maastricht, Aachen
    assert [COUNTRIES[index] for index in countries(cities)] == ["BE", "NL", "DE"]
    random = np.random.default_rng(0)
    shares = np.bincount(countries(coordinates(random.uniform(0, 100, (1_000, 2))))) / 1_000
    assert shares.min() > 0.15


def test_far_places_are_far() -> None:
    latitude, longitude = np.radians(FAR_PLACES).T
    here_latitude, here_longitude = np.radians([50.85, 5.9])
    cosine = np.sin(latitude) * np.sin(here_latitude)
    cosine += np.cos(latitude) * np.cos(here_latitude) * np.cos(longitude - here_longitude)
    assert (6_371 * np.arccos(cosine)).min() > 5_000
