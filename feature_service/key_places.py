"""Which entities n transactions name, each once, and what each of those transactions adds to them."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from feature_service.compiled import compiled
from feature_service.packing import pack_transaction

_FREE: Final = -1


def key_table(most: int) -> NDArray[np.int64]:
    """Memory to tell so many entities apart."""
    size = 8
    while size < 2 * most:
        size *= 2
    return np.full(size, _FREE)


@compiled
def place_keys(
    rows: NDArray[np.void],
    wanted: NDArray[np.int64],
    places: NDArray[np.int64],
    hashes: NDArray[np.uint64],
    entities: NDArray[np.int64],
    table: NDArray[np.int64],
) -> int:
    """How many different entities (n,) DECODED rows name, of the kinds `wanted`; in the order in which they come.

    `places` (n, 6), filled with -1, gets the number of each; `hashes` and `entities` (n * wanted,) what each one is.
    `table` comes from `key_table`.
    """
    mask = table.shape[0] - 1
    count = 0
    for index in range(rows.shape[0]):
        for entity in wanted:
            entity_hash = rows[index]["entity_hash"][entity]
            if entity_hash == 0:
                continue
            slot = np.int64(entity_hash & np.uint64(mask))
            while table[slot] != _FREE and (hashes[table[slot]] != entity_hash or entities[table[slot]] != entity):
                slot = (slot + 1) & mask
            if table[slot] == _FREE:
                table[slot] = count
                hashes[count] = entity_hash
                entities[count] = entity
                count += 1
            places[index, entity] = table[slot]
    return count


@compiled
def pack_runs(
    rows: NDArray[np.void], places: NDArray[np.int64], records: NDArray[np.int64], ends: NDArray[np.int64]
) -> None:
    """Records of (n,) DECODED rows by the place (n, 6) of the entity that they belong to, each run in row order.

    `records` (all that have a place, 9) and `ends` (k,), of the runs, are out; `ends` comes filled with zeros.
    """
    for index in range(rows.shape[0]):
        for place in places[index]:
            if place >= 0:
                ends[place] += 1
    total = 0
    for place in range(ends.shape[0]):
        total, ends[place] = total + ends[place], total
    for index in range(rows.shape[0]):
        for entity in range(places.shape[1]):
            place = places[index, entity]
            if place >= 0:
                pack_transaction(rows[index], entity, records[ends[place]])
                ends[place] += 1
