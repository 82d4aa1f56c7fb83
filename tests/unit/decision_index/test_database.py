"""Which databases are taken, and what is said of others."""

from pathlib import Path

import pytest
from sqlalchemy import text

from decision_index.database import Database
from decision_index.errors import IndexMissingError, IndexUnavailableError, IndexUrlError


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("decisions", "is no database URL: give sqlite:///"),
        ("mysql://user:secret@host/name", "names mysql: use sqlite or postgresql"),
        ("sqlite://", "names no file"),
    ],
)
def test_a_url_that_leads_nowhere_is_told_without_its_password(url: str, expected: str) -> None:
    with pytest.raises(IndexUrlError, match=expected) as refused:
        Database(url, create=True)
    assert "secret" not in str(refused.value)


def test_a_file_is_made_by_whoever_writes_only(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'new' / 'decisions.db'}"
    with pytest.raises(IndexMissingError, match="fraudctl up"):
        Database(url, create=False)
    assert not (tmp_path / "new").exists()

    writing = Database(url, create=True)
    with writing.transaction() as connection:
        connection.execute(text("CREATE TABLE t (n INTEGER)"))
    writing.close()
    reading = Database(url, create=False)
    with reading.transaction() as connection:
        assert connection.execute(text("SELECT count(*) FROM t")).scalar() == 0
    reading.close()


def test_a_server_that_is_away_is_told_without_its_password() -> None:
    database = Database("postgresql://user:secret@127.0.0.1:1/name", create=True)
    with pytest.raises(IndexUnavailableError, match="cannot be used now") as refused, database.transaction():
        pass
    assert "secret" not in str(refused.value)
    database.close()


def test_a_transaction_sees_nothing_that_another_writes_meanwhile(tmp_path: Path) -> None:
    """What a writer read first still holds when it writes: it has begun as a writer."""
    url = f"sqlite:///{tmp_path / 'decisions.db'}"
    writing = Database(url, create=True)
    with writing.transaction() as connection:
        connection.execute(text("CREATE TABLE t (n INTEGER)"))
    reading = Database(url, create=False)
    with reading.transaction() as reader:
        assert reader.execute(text("SELECT count(*) FROM t")).scalar() == 0
        with writing.transaction() as writer:  # and is not kept from it by those who read
            writer.execute(text("INSERT INTO t VALUES (1)"))
        assert reader.execute(text("SELECT count(*) FROM t")).scalar() == 0
    with reading.transaction() as reader:
        assert reader.execute(text("SELECT count(*) FROM t")).scalar() == 1
    for each in (writing, reading):
        each.close()
