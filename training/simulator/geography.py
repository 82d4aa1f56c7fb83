"""Where the simulation takes place: a grid of 100 by 100 units, laid over the Meuse-Rhine region.

A unit is about a kilometre. Three countries meet there, so that crossing a border is an everyday matter.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

GRID_SIDE: Final = 100.0
COUNTRIES: Final = ("BE", "NL", "DE")
FOREIGN_COUNTRIES: Final = ("FR", "LU", "GB", "US")  # of some visitors' cards

# Where attackers' devices report to be: latitude and longitude in degrees, all more than 5,000 km away.
FAR_PLACES: Final = np.array(
    [(40.71, -74.01), (-23.55, -46.63), (1.35, 103.82), (-26.20, 28.05), (35.68, 139.69), (-33.87, 151.21)]
)

_SOUTH, _WEST = 50.40, 5.20
_LATITUDE_PER_UNIT, _LONGITUDE_PER_UNIT = 0.0090, 0.0142
_BORDER_LATITUDE, _BORDER_LONGITUDE = 50.7547, 6.0208  # the Vaalserberg, where the three meet


def microdegrees(degrees: NDArray[np.float64]) -> NDArray[np.int64]:
    return np.rint(degrees * 1e6).astype(np.int64)


def coordinates(places: NDArray[np.float64]) -> NDArray[np.float64]:
    """(n, 2) latitude and longitude in degrees of (n, 2) x and y on the grid."""
    return np.stack([_SOUTH + _LATITUDE_PER_UNIT * places[:, 1], _WEST + _LONGITUDE_PER_UNIT * places[:, 0]], axis=1)


def countries(degrees: NDArray[np.float64]) -> NDArray[np.int64]:
    """Index in COUNTRIES: the borders are straightened to two lines."""
    latitude, longitude = degrees[:, 0], degrees[:, 1]
    return np.where(longitude > _BORDER_LONGITUDE, 2, np.where(latitude > _BORDER_LATITUDE, 1, 0))


def within(
    centres: NDArray[np.float64], places: NDArray[np.float64], radius: float
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """For each of (n, 2) centres the places (m, 2) in the radius, or the nearest place where there is none.

    Returns indices of places, centre after centre, and offsets (n + 1,) into them.
    """
    # Only the cells around a centre are looked at, each as wide as the radius.
    side = int(GRID_SIDE // radius) + 1
    cells = (places // radius).astype(np.int64)
    cell = cells[:, 0] * side + cells[:, 1]
    order = np.argsort(cell, kind="stable")
    starts = np.searchsorted(cell[order], np.arange(side * side + 1))
    found = []
    for centre in centres:
        column, row = (centre // radius).astype(np.int64)
        low, high = max(row - 1, 0), min(row + 2, side)
        near = np.concatenate(
            [
                order[starts[x * side + low] : starts[x * side + high]]
                for x in range(max(column - 1, 0), min(column + 2, side))
            ]
        )
        near = near[_squared_distance(places[near], centre) <= radius**2]
        found.append(near if len(near) else np.argmin(_squared_distance(places, centre), keepdims=True))
    return np.concatenate(found), np.cumsum([0, *map(len, found)])


def _squared_distance(places: NDArray[np.float64], centre: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(((places - centre) ** 2).sum(axis=1))
