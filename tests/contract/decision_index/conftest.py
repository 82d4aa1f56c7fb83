"""Both databases, each test with an empty one of its own."""

import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from decision_index.database import Database
from decision_index.lookup import IndexReader
from decision_index.writer import IndexWriter
from tests.postgres_server import PostgresServer

KEY = "0a1b2c3d"


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresServer]:
    server = PostgresServer(tmp_path_factory.mktemp("postgres"))
    try:
        server.start()
        yield server
    finally:
        server.remove()


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'index' / 'decisions.db'}"
    server: PostgresServer = request.getfixturevalue("postgres")
    return server.url(f"index_{secrets.token_hex(4)}")


@pytest.fixture
def database(url: str) -> Iterator[Database]:
    database = Database(url, create=True)
    yield database
    database.close()


@pytest.fixture
def writer(database: Database) -> IndexWriter:
    return IndexWriter(database, key_fingerprint=KEY)


@pytest.fixture
def index(url: str, writer: IndexWriter) -> Iterator[IndexReader]:
    """As another process reads it."""
    database = Database(url, create=False)
    yield IndexReader(database, key_fingerprint=KEY)
    database.close()
