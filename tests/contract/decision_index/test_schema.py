"""The schema's version: made, migrated, or refused by name."""

import pytest
from sqlalchemy import Connection, inspect, text

from decision_index import schema
from decision_index.batch import Stored
from decision_index.database import Database
from decision_index.errors import IndexMissingError, IndexSchemaError
from decision_index.lookup import IndexReader
from decision_index.tables import METADATA
from decision_index.writer import IndexWriter
from tests.contract.decision_index.conftest import KEY
from tests.index_rows import SOURCE, batch, decision_row


def add_column(connection: Connection) -> None:
    connection.execute(text("ALTER TABLE decisions ADD COLUMN note TEXT"))


def test_a_new_database_gets_all_tables_once(database: Database) -> None:
    for _ in range(2):
        IndexWriter(database, key_fingerprint=KEY)
        with database.transaction() as connection:
            assert set(inspect(connection).get_table_names()) == set(METADATA.tables)


def test_an_older_schema_is_migrated_with_its_rows(database: Database, writer: IndexWriter, index: IndexReader) -> None:
    writer.write(batch(decision_row("t1")))
    newer = (*schema.MIGRATIONS, add_column)

    with database.transaction() as connection, pytest.raises(IndexSchemaError, match="restart"):
        schema.check_readable(connection, KEY, newer)
    for _ in range(2):  # the second finds nothing to do
        with database.transaction() as connection:
            schema.prepare(connection, KEY, newer)
    with database.transaction() as connection:
        schema.check_readable(connection, KEY, newer)
        assert connection.execute(text("SELECT transaction_id, note FROM decisions")).all() == [("t1", None)]


def test_a_newer_schema_is_refused_by_name(database: Database, writer: IndexWriter) -> None:
    newest = 1 + len(schema.MIGRATIONS)
    with database.transaction() as connection:
        schema.prepare(connection, KEY, (*schema.MIGRATIONS, add_column))

    expected = rf"schema version {newest + 1}, written by a newer release; this one knows versions up to {newest}"
    with pytest.raises(IndexSchemaError, match=expected):
        IndexWriter(database, key_fingerprint=KEY)
    with pytest.raises(IndexSchemaError, match=expected):
        IndexReader(database, key_fingerprint=KEY)


def test_a_failing_migration_leaves_the_older_schema(database: Database, writer: IndexWriter) -> None:
    def fails(connection: Connection) -> None:
        add_column(connection)
        raise RuntimeError("broken off")

    with pytest.raises(RuntimeError), database.transaction() as connection:
        schema.prepare(connection, KEY, (*schema.MIGRATIONS, fails))
    with database.transaction() as connection:
        schema.check_readable(connection, KEY)
        assert "note" not in {column["name"] for column in inspect(connection).get_columns("decisions")}


def test_another_id_hash_key_is_refused(database: Database, writer: IndexWriter) -> None:
    for reader_or_writer in (IndexWriter, IndexReader):
        with pytest.raises(IndexSchemaError, match=f"id hash key {KEY}, FRAUD_ID_HASH_KEY_FILE holds ffffffff"):
            reader_or_writer(database, key_fingerprint="ffffffff")


def test_a_database_without_an_index_says_what_to_start(database: Database) -> None:
    with pytest.raises(IndexMissingError, match="python -m decision_index"):
        IndexReader(database, key_fingerprint=KEY)


def test_positions_of_the_first_version_are_kept_with_topics_that_nobody_knows(database: Database) -> None:
    with database.transaction() as connection:
        schema.prepare(connection, KEY, ())
        connection.execute(text("ALTER TABLE positions DROP COLUMN topic_id"))
        connection.execute(text("INSERT INTO positions (topic, partition, next_offset) VALUES ('decisions', 0, 7)"))

    assert IndexWriter(database, key_fingerprint=KEY).positions() == {SOURCE: Stored(7, "")}
