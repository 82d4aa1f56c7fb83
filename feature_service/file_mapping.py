"""Which column of a file is which field of the contract: a small TOML file, such as mappings/handbook.toml.

Under [columns] and [constants] stand fields of fraud.v1.Transaction by name, except that `event_time` and `amount` take
the units given by `time_unit` and `amount_unit`, `latitude` and `longitude` (degrees) make up the location, and
`is_fraud` is the flag that becomes a label. Enums are given by the short names of the contract: `ecommerce`, `refund`.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Final, Literal, TypeVar, get_args

from fraud.v1.transaction_pb2 import Transaction

from feature_service.errors import FileError
from feature_service.records import ENTITIES

Choice = TypeVar("Choice", bound=str)
TimeUnit = Literal["datetime", "epoch_s", "epoch_ms"]
AmountUnit = Literal["major", "minor"]

_ENTITY_FIELDS: Final = tuple(
    name for name in Transaction.DESCRIPTOR.fields_by_name if name.removesuffix("_id") in ENTITIES
)
_OTHER_NAMES: Final = {"event_time_ms", "amount_minor", "location"}  # under names of their own, see above
_FIELDS: Final = (set(Transaction.DESCRIPTOR.fields_by_name) - _OTHER_NAMES) | {
    "event_time",
    "amount",
    "latitude",
    "longitude",
    "is_fraud",
}
_COLUMN_ONLY: Final = {"transaction_id", "event_time", "amount", "latitude", "longitude", "is_fraud"}
_REQUIRED: Final = ("transaction_id", "event_time", "amount", "currency")


@dataclass(frozen=True, slots=True)
class FileMapping:
    name: str  # for messages
    columns: Mapping[str, str]  # field to column
    constants: Mapping[str, str | int]  # field to value
    time_unit: TimeUnit
    amount_unit: AmountUnit


def built_in_mappings() -> list[str]:
    folder = resources.files("feature_service") / "mappings"
    return sorted(entry.name.removesuffix(".toml") for entry in folder.iterdir())


def load_mapping(source: str | Path) -> FileMapping:
    """The built-in mapping of this name, or the one in this TOML file. Raises: FileError."""
    if source in built_in_mappings():
        text = (resources.files("feature_service") / "mappings" / f"{source}.toml").read_text(encoding="utf-8")
    else:
        try:
            text = Path(source).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise FileError(
                f"mapping {source}: {error}; give a TOML file or one of: {', '.join(built_in_mappings())}"
            ) from error
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise FileError(f"mapping {source}: not TOML: {error}") from error
    return parse_mapping(str(source), document)


def parse_mapping(name: str, document: Mapping[str, object]) -> FileMapping:
    """Raises FileError where the document leaves out what the contract requires, or holds what it does not know."""
    known = ("time_unit", "amount_unit", "columns", "constants")
    for key in document:
        _require(key in known, f"mapping {name}: unknown entry {key!r}; known are: {', '.join(known)}")
    columns = _table(name, document, "columns")
    constants = _table(name, document, "constants")
    for field, column in columns.items():
        _require(field in _FIELDS, f"mapping {name}: [columns] has {field!r}; known are: {', '.join(sorted(_FIELDS))}")
        _require(isinstance(column, str), f"mapping {name}: [columns] {field} must be the name of a column, as text")
    can_be = sorted(_FIELDS - _COLUMN_ONLY)
    values: dict[str, str | int] = {}
    for field, value in constants.items():
        _require(field in can_be, f"mapping {name}: [constants] has {field!r}; known are: {', '.join(can_be)}")
        _require(field not in columns, f"mapping {name}: {field} stands in both [columns] and [constants]")
        if not isinstance(value, str | int) or isinstance(value, bool):
            raise FileError(f"mapping {name}: [constants] {field} must be text or an integer")
        values[field] = value
    given = {*columns, *constants}
    for field in _REQUIRED:
        _require(field in given, f"mapping {name}: {field} is missing; name its column under [columns]")
    _require(
        not given.isdisjoint(_ENTITY_FIELDS),
        f"mapping {name}: no entity; name the column of at least one of: {', '.join(_ENTITY_FIELDS)}",
    )
    _require(("latitude" in given) == ("longitude" in given), f"mapping {name}: latitude and longitude go together")
    return FileMapping(
        name=name,
        columns={field: str(column) for field, column in columns.items()},
        constants=values,
        time_unit=_choice(name, document, "time_unit", get_args(TimeUnit)),
        amount_unit=_choice(name, document, "amount_unit", get_args(AmountUnit)),
    )


def _table(name: str, document: Mapping[str, object], key: str) -> Mapping[str, object]:
    table = document.get(key, {})
    if not isinstance(table, dict):
        raise FileError(f"mapping {name}: {key} must be a table, headed [{key}]")
    return table


def _choice(name: str, document: Mapping[str, object], key: str, choices: tuple[Choice, ...]) -> Choice:
    for choice in choices:
        if document.get(key) == choice:
            return choice
    raise FileError(f"mapping {name}: {key} must be one of: {', '.join(choices)}")


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise FileError(message)
