"""A connection to the index's database: SQLite in a file, or PostgreSQL. Both give serialisable transactions."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, InterfaceError, OperationalError

from decision_index.errors import IndexMissingError, IndexUnavailableError, IndexUrlError

_BUSY_MS: Final = 10_000  # how long one process waits for another's transaction on a SQLite file
_CONNECT_TIMEOUT_S: Final = 5
_POSTGRESQL: Final = "postgresql+psycopg"


class Database:
    """Close it at the end. Safe to share between threads."""

    def __init__(self, url: str, *, create: bool) -> None:
        """`create`: a SQLite file that is not there. Raises: IndexUrlError, IndexMissingError."""
        parsed = _parsed(url)
        if parsed.get_backend_name() == "sqlite":
            self._engine = _sqlite(parsed, create=create)
        else:
            self._engine = create_engine(
                parsed.set(drivername=_POSTGRESQL),
                isolation_level="SERIALIZABLE",
                pool_pre_ping=True,
                connect_args={"connect_timeout": _CONNECT_TIMEOUT_S},
            )

    def close(self) -> None:
        self._engine.dispose()

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """All of it or nothing. Raises: IndexUnavailableError where nothing was written and a later try may succeed."""
        try:
            with self._engine.begin() as connection:
                yield connection
        except (OperationalError, InterfaceError) as error:
            raise IndexUnavailableError(f"the decision index cannot be used now: {_first_line(error)}") from error


def _parsed(url: str) -> URL:
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        raise IndexUrlError(
            "FRAUD_DECISION_INDEX_URL is no database URL: give sqlite:///path/to/file.db or postgresql://user@host/name"
        ) from error
    if parsed.get_backend_name() not in ("sqlite", "postgresql"):
        raise IndexUrlError(f"FRAUD_DECISION_INDEX_URL names {parsed.drivername}: use sqlite or postgresql")
    if parsed.get_backend_name() == "sqlite" and not parsed.database:
        raise IndexUrlError("FRAUD_DECISION_INDEX_URL names no file: an index in memory would be lost with the process")
    return parsed


def _sqlite(url: URL, *, create: bool) -> Engine:
    path = Path(url.database or "")
    if create:
        path.parent.mkdir(parents=True, exist_ok=True)
    elif not path.is_file():
        raise IndexMissingError(
            f"there is no decision index at {path}: start it with `python -m decision_index` (`fraudctl up` does), or "
            "set FRAUD_DECISION_INDEX_URL"
        )
    engine = create_engine(url, connect_args={"timeout": _BUSY_MS / 1_000})

    # The driver begins transactions by itself, and only before it writes: then what was read first might be outdated.
    @event.listens_for(engine, "connect")
    def connected(connection: Any, _record: object) -> None:
        connection.isolation_level = None
        cursor = connection.cursor()
        cursor.execute("PRAGMA journal_mode = WAL")  # readers do not wait for the writer
        # A power failure may take the last transactions back, whole: their positions too, so that they are read again.
        cursor.execute("PRAGMA synchronous = NORMAL")
        cursor.close()

    @event.listens_for(engine, "begin")
    def begun(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE" if create else "BEGIN")

    return engine


def _first_line(error: DBAPIError) -> str:
    return str(error.orig).strip().partition("\n")[0]
