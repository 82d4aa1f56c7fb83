"""The schema and its version, kept in the database: made, brought up to date, or refused where it is newer."""

from collections.abc import Callable, Sequence
from typing import Final

from sqlalchemy import Connection, insert, inspect, select, text, update

from decision_index.errors import IndexMissingError, IndexSchemaError
from decision_index.tables import METADATA, STATE

Migration = Callable[[Connection], None]


def _add_topic_ids(connection: Connection) -> None:
    connection.execute(text("ALTER TABLE positions ADD COLUMN topic_id TEXT NOT NULL DEFAULT ''"))


# The first brings version 1 to version 2, and so on. A new database is made from `tables` as they are now.
MIGRATIONS: Final[tuple[Migration, ...]] = (_add_topic_ids,)

_VERSION: Final = "schema_version"
_KEY: Final = "key_fingerprint"


def prepare(connection: Connection, key_fingerprint: str, migrations: Sequence[Migration] = MIGRATIONS) -> None:
    """Make or migrate the tables, for hashes under the key of that fingerprint. Raises: IndexSchemaError."""
    newest = 1 + len(migrations)
    if not _has_tables(connection):
        METADATA.create_all(connection)
        rows = {_VERSION: str(newest), _KEY: key_fingerprint}
        connection.execute(insert(STATE), [{"name": name, "value": value} for name, value in rows.items()])
        return
    version = _checked_version(connection, newest)
    _check_key(connection, key_fingerprint)
    for migration in migrations[version - 1 :]:
        migration(connection)
    connection.execute(update(STATE).where(STATE.c.name == _VERSION).values(value=str(newest)))


def check_readable(connection: Connection, key_fingerprint: str, migrations: Sequence[Migration] = MIGRATIONS) -> None:
    """Raises: IndexMissingError, IndexSchemaError."""
    if not _has_tables(connection):
        raise IndexMissingError("the database holds no decision index yet: start it with `python -m decision_index`")
    newest = 1 + len(migrations)
    if (version := _checked_version(connection, newest)) < newest:
        raise IndexSchemaError(
            f"the index has schema version {version}, this code reads {newest}: restart `python -m decision_index`, "
            "which migrates it"
        )
    _check_key(connection, key_fingerprint)


def _has_tables(connection: Connection) -> bool:
    return inspect(connection).has_table(STATE.name)


def _checked_version(connection: Connection, newest: int) -> int:
    version = int(_value(connection, _VERSION))
    if version > newest:
        raise IndexSchemaError(
            f"the index has schema version {version}, written by a newer release; this one knows versions up to "
            f"{newest}: run the newer release, or let this one index the log anew into another "
            "FRAUD_DECISION_INDEX_URL"
        )
    return version


def _check_key(connection: Connection, key_fingerprint: str) -> None:
    if (found := _value(connection, _KEY)) != key_fingerprint:
        raise IndexSchemaError(
            f"the index was made with the id hash key {found}, FRAUD_ID_HASH_KEY_FILE holds {key_fingerprint}: use the "
            "same key, or index the log anew into another FRAUD_DECISION_INDEX_URL"
        )


def _value(connection: Connection, name: str) -> str:
    return str(connection.execute(select(STATE.c.value).where(STATE.c.name == name)).scalar_one())
