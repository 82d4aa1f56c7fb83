"""Scratch memory of the kernel: allocated once, since a read takes microseconds."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from feature_service.kernel.words import MEMBER_COLUMNS


class Workspace(NamedTuple):
    """Scratch memory of one thread, for histories of up to `capacity` records."""

    members: NDArray[np.int64]  # (capacity + 1, MEMBER_COLUMNS)
    bases: NDArray[np.int64]  # (capacity + 1,) words of the records that stand
    order: NDArray[np.int64]  # (capacity + 1,) indices of `bases`
    spare: NDArray[np.int64]
    labels: NDArray[np.int64]  # (capacity + 1,) words of the labels
    tiles: NDArray[np.int64]  # (capacity + 1,) words of the tiles
    label_known_at: NDArray[np.int64]  # (capacity + 1,) of the best label of each of `bases`
    label_code: NDArray[np.int64]
    table: NDArray[np.int64]  # (>= 2 * capacity + 4,) open addressing


def make_workspace(capacity: int) -> Workspace:
    table_size = 4
    while table_size < 2 * capacity + 4:
        table_size *= 2
    columns = np.empty((7, capacity + 1), dtype=np.int64)
    return Workspace(
        members=np.empty((capacity + 1, MEMBER_COLUMNS), dtype=np.int64),
        bases=columns[0],
        order=columns[1],
        spare=columns[2],
        labels=columns[3],
        tiles=columns[4],
        label_known_at=columns[5],
        label_code=columns[6],
        table=np.empty(table_size, dtype=np.int64),
    )
