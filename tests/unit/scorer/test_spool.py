"""A spool's files: in order, bounded, of one process at a time, and whole again after whatever ended the last one."""

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scorer.errors import SpoolError
from scorer.publication import Record
from scorer.spool import Spool, open_spool
from scorer.spool_format import MAGIC, frame

LIMIT_BYTES = 1_000_000
NOW_MS = 1_700_000_000_000


def a_record(name: str, size: int = 10) -> Record:
    return Record("decisions", name.encode(), b"x" * size, [("fraud-type", b"fraud.v1.Decision")])


def write(spool: Spool, *names: str, size: int = 10) -> int:
    return spool.append([[a_record(name, size)] for name in names], now_ms=NOW_MS)


def drained(spool: Spool) -> list[str]:
    names = []
    while (taken := spool.take()) is not None:
        names += [record.key.decode() for record in taken.records]
        spool.remove(taken.path)
    return names


@contextmanager
def no_file_larger_than(size: int) -> Iterator[None]:
    """The operating system refuses the rest of a write, as a full disk does."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    opened = open_spool(tmp_path, limit_bytes=LIMIT_BYTES)
    yield opened
    opened.close()


def test_what_went_in_first_comes_out_first(spool: Spool) -> None:
    write(spool, "a", "b")
    first = spool.take()
    write(spool, "c")
    second = spool.take()

    assert first is not None
    assert first.records == [a_record("a"), a_record("b")]
    assert second is not None
    assert second.records == [a_record("c")]
    assert spool.take() is None


def test_published_segments_leave_nothing_behind(spool: Spool) -> None:
    write(spool, "a")
    assert spool.size_bytes == len(MAGIC) + len(frame(a_record("a")))
    assert spool.oldest_ms == NOW_MS

    drained(spool)

    assert spool.size_bytes == 0
    assert spool.oldest_ms is None
    assert [path.name for path in spool.folder.iterdir()] == ["lock"]


def test_a_large_spool_is_many_files_of_which_one_is_read_at_a_time(tmp_path: Path) -> None:
    spool = open_spool(tmp_path, limit_bytes=100_000_000)
    names = [str(number) for number in range(40)]
    for name in names:
        write(spool, name, size=300_000)

    assert len(list(spool.folder.glob("*.spool"))) > 4
    taken = spool.take()
    assert taken is not None
    assert len(taken.records) < 10
    spool.remove(taken.path)
    assert [record.key.decode() for record in taken.records] + drained(spool) == names
    spool.close()


def test_a_group_goes_in_whole_or_not_at_all(tmp_path: Path) -> None:
    pair = [a_record("decision"), a_record("alert")]
    room = len(MAGIC) + 2 * sum(len(frame(record)) for record in pair) + len(frame(pair[0]))
    spool = open_spool(tmp_path, limit_bytes=room)

    written = spool.append([pair, pair, pair], now_ms=NOW_MS)

    assert written == 2
    assert drained(spool) == ["decision", "alert"] * 2
    assert spool.append([pair], now_ms=NOW_MS) == 1
    spool.close()


def test_two_processes_share_a_directory_but_no_file(tmp_path: Path, spool: Spool) -> None:
    write(spool, "a")
    other = open_spool(tmp_path, limit_bytes=LIMIT_BYTES)
    write(other, "b")

    assert drained(other) == ["b"]
    assert drained(spool) == ["a"]
    other.close()


def test_what_processes_that_are_gone_left_is_taken_over_in_order(tmp_path: Path) -> None:
    one, two = (open_spool(tmp_path, limit_bytes=LIMIT_BYTES) for _ in range(2))
    write(one, "a")
    assert one.take() is not None  # on its way when the process ended
    write(one, "b")
    write(two, "c")
    one.close()
    two.close()

    successor = open_spool(tmp_path, limit_bytes=LIMIT_BYTES)

    write(successor, "d")
    assert drained(successor) == ["a", "b", "c", "d"]
    successor.close()


def test_what_a_process_that_runs_has_is_left_to_it(tmp_path: Path, spool: Spool) -> None:
    write(spool, "a")

    other = open_spool(tmp_path, limit_bytes=LIMIT_BYTES)

    assert other.take() is None
    other.close()


@settings(max_examples=25)
@given(st.data())
def test_after_a_write_that_was_broken_off_all_before_it_is_there(
    tmp_path_factory: pytest.TempPathFactory, draw: st.DataObject
) -> None:
    directory = tmp_path_factory.mktemp("killed")
    spool = open_spool(directory, limit_bytes=LIMIT_BYTES)
    names = [str(number) for number in range(5)]
    write(spool, *names)
    spool.close()
    [path] = spool.folder.glob("*.spool")
    kept = draw.draw(st.integers(0, path.stat().st_size))
    with path.open("r+b") as file:
        file.truncate(kept)

    successor = open_spool(directory, limit_bytes=LIMIT_BYTES)
    write(successor, "next")

    whole = max(0, kept - len(MAGIC)) // len(frame(a_record("0")))
    assert drained(successor) == [*names[:whole], "next"]
    successor.close()


def test_a_damaged_file_is_kept_and_named_and_the_next_is_read(tmp_path: Path) -> None:
    spool = open_spool(tmp_path, limit_bytes=LIMIT_BYTES)
    write(spool, "a", "b")
    spool.close()
    [path] = spool.folder.glob("*.spool")
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)

    successor = open_spool(tmp_path, limit_bytes=LIMIT_BYTES)
    write(successor, "c")
    taken = successor.take()

    assert taken is not None
    assert (taken.fault, [record.key for record in taken.records]) == ("damaged", [b"a"])
    aside = successor.set_aside(taken.path)
    assert aside.read_bytes() == data
    assert drained(successor) == ["c"]
    assert successor.size_bytes == 0
    successor.close()


def test_a_file_that_is_gone_stops_nothing(spool: Spool) -> None:
    write(spool, "a")
    [path] = spool.folder.glob("*.spool")
    path.unlink()

    taken = spool.take()

    assert taken is not None
    assert (taken.fault, taken.records) == ("unreadable", [])


def test_a_disk_that_refuses_half_a_write_loses_neither_what_was_there_nor_what_comes(spool: Spool) -> None:
    write(spool, "a")
    with no_file_larger_than(spool.size_bytes + 100), pytest.raises(OSError, match="File too large"):
        write(spool, "b", "c", "d", size=60)
    write(spool, "b")

    assert drained(spool) == ["a", "b"]


def test_what_is_written_can_be_synced(spool: Spool) -> None:
    write(spool, "a")
    spool.sync()
    write(spool, "b")
    drained(spool)

    spool.sync()  # of files that are published and gone


def test_nobody_else_may_read_it(spool: Spool) -> None:
    assert spool.folder.stat().st_mode & 0o077 == 0


def test_a_directory_that_cannot_be_one_is_named(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()

    with pytest.raises(SpoolError, match=f"{file}.*FRAUD_SPOOL_DIR"):
        open_spool(file, limit_bytes=LIMIT_BYTES)
