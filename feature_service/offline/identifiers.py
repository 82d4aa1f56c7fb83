"""Ids of decoded messages as text columns, cut out of the messages' bytes without parsing them into objects."""

from typing import Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from feature_service.compiled import compiled, compiled_with_memory
from feature_service.records import ENTITIES
from feature_service.transaction_fields import FIRST_ENTITY, SLOTS, TRANSACTION_ID, read_transaction
from feature_service.wire_writer import write_bytes

# Column name to field number; the entities' fields follow each other in the order of ENTITIES.
ID_FIELDS: Final = {"transaction_id": TRANSACTION_ID} | {
    "ip" if entity == "ip" else f"{entity}_id": FIRST_ENTITY + index for index, entity in enumerate(ENTITIES)
}
_NUMBERS: Final = np.array(list(ID_FIELDS.values()))


def id_columns(buffer: bytes, starts: NDArray[np.int64], lengths: NDArray[np.int64]) -> dict[str, pa.StringArray]:
    """A column (n,) for each of ID_FIELDS; null where the id is absent. The messages must be accepted ones."""
    spans = np.empty((starts.shape[0], _NUMBERS.shape[0], 2), dtype=np.int64)
    array = np.frombuffer(buffer, dtype=np.uint8)
    _find_ids(array, starts, lengths, spans)
    columns = {}
    for index, name in enumerate(ID_FIELDS):
        offsets = np.zeros(starts.shape[0] + 1, dtype=np.int32)
        np.cumsum(spans[:, index, 1], out=offsets[1:])
        text = np.empty(int(offsets[-1]), dtype=np.uint8)
        _cut(array, spans[:, index], offsets, text)
        column = pa.StringArray.from_buffers(starts.shape[0], pa.py_buffer(offsets), pa.py_buffer(text))
        columns[name] = pa.compute.if_else(pa.array(spans[:, index, 1] > 0), column, None)
    return columns


@compiled_with_memory
def _find_ids(
    buffer: NDArray[np.uint8], starts: NDArray[np.int64], lengths: NDArray[np.int64], spans: NDArray[np.int64]
) -> None:
    slots = np.empty((SLOTS, 2), dtype=np.int64)
    for index in range(starts.shape[0]):
        read_transaction(buffer, starts[index], starts[index] + lengths[index], slots)
        for column in range(_NUMBERS.shape[0]):
            spans[index, column] = slots[_NUMBERS[column]]


@compiled
def _cut(
    buffer: NDArray[np.uint8], spans: NDArray[np.int64], offsets: NDArray[np.int32], text: NDArray[np.uint8]
) -> None:
    for index in range(spans.shape[0]):
        start, length = spans[index, 0], spans[index, 1]
        write_bytes(buffer, start, start + length, offsets[index], text)
