"""The index's writing half: batches under positions, erasures, and what has become old."""

from collections.abc import Sequence
from typing import Final

from sqlalchemy import Column, ColumnElement, Connection, Table, delete, func, select, update
from sqlalchemy.dialects import postgresql, sqlite

from decision_index import schema
from decision_index.batch import Advance, Batch, Partition, Row, Stored, Written
from decision_index.database import Database
from decision_index.errors import PositionMovedError
from decision_index.tables import (
    ALERTS,
    DECISIONS,
    ENTITY_COLUMNS,
    ERASURES,
    LABELS,
    OF_DECISIONS,
    POLICIES,
    POSITIONS,
    SHADOW_SCORES,
)

_COUNTED: Final = {"preserve_rowcount": True}


class IndexWriter:
    """Several may write to one database: each record is indexed once, by whoever moves its partition's position."""

    def __init__(self, database: Database, *, key_fingerprint: str) -> None:
        """Makes or migrates the tables. Raises: IndexSchemaError, IndexUnavailableError."""
        self._database = database
        with database.transaction() as connection:
            schema.prepare(connection, key_fingerprint)

    def positions(self) -> dict[Partition, Stored]:
        """Of every partition that was ever read. Raises: IndexUnavailableError."""
        with self._database.transaction() as connection:
            rows = connection.execute(select(POSITIONS)).all()
        return {Partition(row.topic, row.partition): Stored(row.next_offset, row.topic_id) for row in rows}

    def write(self, batch: Batch) -> Written:
        """All of the batch and its positions, or nothing. The first decision of a transaction_id stays.

        Raises: PositionMovedError where another writer was faster, IndexUnavailableError.
        """
        rows = batch.rows
        with self._database.transaction() as connection:
            for partition, advance in batch.advances.items():
                _advance(connection, partition, advance)
            erased = sum(_erase(connection, row) for row in rows.erasures)
            allowed = _without_erased(connection, rows.decisions)
            new = _insert_new(connection, DECISIONS, allowed)
            for table, some in (
                (ALERTS, rows.alerts),
                (LABELS, rows.labels),
                (SHADOW_SCORES, rows.shadow_scores),
                (POLICIES, rows.policies),
            ):
                _insert_new(connection, table, some)
            erased += len(rows.decisions) - len(allowed)
            return Written(new, len(allowed) - new, erased)

    def delete_older(self, before_ms: int, *, limit: int) -> int:
        """At most `limit` decisions made before then, and as many rows of each kind beside them; how many decisions.

        Raises: IndexUnavailableError.
        """
        with self._database.transaction() as connection:
            for table, time in OF_DECISIONS.items():
                _delete_some(connection, table, time, before_ms, limit)
            return _delete_some(connection, DECISIONS, DECISIONS.c.decided_at_ms, before_ms, limit)


def _advance(connection: Connection, partition: Partition, advance: Advance) -> None:
    topic, number = partition
    if advance.stored is None:
        statement = _insert(connection, POSITIONS).values(
            topic=topic, partition=number, next_offset=advance.next_offset, topic_id=advance.topic_id
        )
        moved = connection.execute(statement.on_conflict_do_nothing().execution_options(**_COUNTED)).rowcount
    else:
        moved = connection.execute(
            update(POSITIONS)
            .where(
                POSITIONS.c.topic == topic,
                POSITIONS.c.partition == number,
                POSITIONS.c.next_offset == advance.stored.next_offset,
                POSITIONS.c.topic_id == advance.stored.topic_id,
            )
            .values(next_offset=advance.next_offset, topic_id=advance.topic_id)
        ).rowcount
    if not moved:
        offset = None if advance.stored is None else advance.stored.next_offset
        raise PositionMovedError(f"{topic}:{number} is not at offset {offset} any more: another process indexes it")


def _insert(connection: Connection, table: Table) -> sqlite.Insert | postgresql.Insert:
    """What both databases know and SQL does not: an insert that says what to do where the key is taken."""
    return sqlite.insert(table) if connection.dialect.name == "sqlite" else postgresql.insert(table)


def _insert_new(connection: Connection, table: Table, rows: Sequence[Row]) -> int:
    """How many were not there."""
    if not rows:
        return 0
    statement = _insert(connection, table).on_conflict_do_nothing()
    return connection.execute(statement.execution_options(**_COUNTED), rows).rowcount


def _without_erased(connection: Connection, decisions: Sequence[Row]) -> list[Row]:
    """Those of nobody who was forgotten since."""
    until_ms = {
        (ENTITY_COLUMNS[row.entity], row.entity_hash): row.until_ms for row in connection.execute(select(ERASURES))
    }
    if not until_ms:
        return list(decisions)
    return [
        row
        for row in decisions
        if not any(row["decided_at_ms"] <= until_ms.get((name, row[name]), -1) for name in ENTITY_COLUMNS)
    ]


def _erase(connection: Connection, erasure: Row) -> int:
    """Remember it, and delete the decisions it is about, with what came of them; how many decisions."""
    statement = _insert(connection, ERASURES).values(**erasure)
    connection.execute(
        statement.on_conflict_do_update(
            index_elements=[ERASURES.c.entity, ERASURES.c.entity_hash],
            set_={"until_ms": statement.excluded.until_ms},
            where=ERASURES.c.until_ms < statement.excluded.until_ms,
        )
    )
    column: Column[int] = DECISIONS.c[ENTITY_COLUMNS[erasure["entity"]]]
    about: ColumnElement[bool] = (column == erasure["entity_hash"]) & (DECISIONS.c.decided_at_ms <= erasure["until_ms"])
    for table in OF_DECISIONS:
        connection.execute(
            delete(table).where(table.c.transaction_id.in_(select(DECISIONS.c.transaction_id).where(about)))
        )
    return connection.execute(delete(DECISIONS).where(about)).rowcount


def _delete_some(connection: Connection, table: Table, time: Column[int], before_ms: int, limit: int) -> int:
    oldest = select(time).where(time < before_ms).order_by(time).limit(limit).subquery()
    newest_of_them = connection.execute(select(func.max(oldest.c[0]))).scalar()
    if newest_of_them is None:
        return 0
    return connection.execute(delete(table).where(time <= newest_of_them)).rowcount
