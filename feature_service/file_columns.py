"""A batch of a file's rows as the columns of fraud.v1.Transaction. Pure. Raises FileError, naming the column."""

from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from fraud.v1.transaction_pb2 import Location, Transaction
from google.protobuf.descriptor import EnumDescriptor, FieldDescriptor

from feature_service.file_cells import (
    FileColumn,
    amounts_minor,
    integers,
    is_text,
    microdegrees,
    nulls,
    texts,
    times_ms,
    to_numpy,
)
from feature_service.file_mapping import FileMapping
from feature_service.message_columns import Column, Integers, Strings, Submessages

_LIMITS: Final = {
    FieldDescriptor.TYPE_UINT32: np.iinfo(np.uint32),
    FieldDescriptor.TYPE_SINT32: np.iinfo(np.int32),
}


def contract_columns(batch: pa.RecordBatch, mapping: FileMapping, *, first_row: int) -> dict[str, Column]:
    """By name of the field; `first_row` is the number of the batch's first row in the file, for messages."""

    def mapped(field: str) -> FileColumn:
        return FileColumn.of(batch, mapping.columns[field], first_row=first_row)

    columns: dict[str, Column] = {
        "event_time_ms": Integers.of(times_ms(mapped("event_time"), mapping.time_unit)),
        "amount_minor": amounts_minor(mapped("amount"), mapping.amount_unit),
    }
    for field in Transaction.DESCRIPTOR.fields:
        if field.name in mapping.columns:
            columns[field.name] = _convert(field, mapped(field.name))
        elif field.name in mapping.constants:
            constant = FileColumn(f"[constants] {field.name}", pa.array([mapping.constants[field.name]]), 1)
            columns[field.name] = _convert(field, constant).take(np.zeros(batch.num_rows, np.int64))
    if "latitude" in mapping.columns:
        latitude, longitude = microdegrees(mapped("latitude")), microdegrees(mapped("longitude"))
        axes = dict(zip(Location.DESCRIPTOR.fields_by_name, (latitude, longitude), strict=True))
        columns["location"] = Submessages(axes, latitude.present & longitude.present)
    return columns


def _convert(field: FieldDescriptor, column: FileColumn) -> Strings | Integers:
    if field.enum_type is not None:
        return _enum_numbers(field.enum_type, column)
    if field.type == FieldDescriptor.TYPE_STRING:
        return texts(column)
    limits = _LIMITS[field.type]
    return integers(column, least=int(limits.min), most=int(limits.max))


def _enum_numbers(enum: EnumDescriptor, column: FileColumn) -> Integers:
    prefix = enum.values[0].name.removesuffix("UNSPECIFIED")
    numbers = {value.name.removeprefix(prefix).lower(): value.number for value in enum.values}
    names = f"it must be one of: {', '.join(numbers)}"
    if not is_text(column):
        raise column.error(f"holds {column.values.type}; {names}")
    positions = pc.index_in(pc.utf8_lower(column.values.cast(pa.string())), pa.array([*numbers]))
    column.refuse(nulls(positions) & ~nulls(column.values), names)
    return Integers(np.array([*numbers.values()])[to_numpy(positions.fill_null(0))], ~nulls(positions))
