from datetime import UTC, date, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from feature_service.id_list import FOR_EVER_MS, MAX_LISTS, IdList, IdListError, ListMatcher, parse_id_list
from feature_service.identity import IdKey, hash_token
from feature_service.records import DECODED, ENTITIES

KEY = IdKey.from_hex("000102030405060708090a0b0c0d0e0f")
TOKENS = [f"tok_{index}" for index in range(8)]
DAYS = st.dates(min_value=date(1970, 1, 2), max_value=date(2200, 1, 1))
ENTRIES = st.lists(st.tuples(st.sampled_from(TOKENS), st.none() | DAYS), max_size=12)


def end_ms(day: date | None) -> int:
    """The first millisecond of the day after."""
    if day is None:
        return FOR_EVER_MS
    after = datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(days=1)
    return int(after.timestamp()) * 1000


def as_text(entries: list[tuple[str, date | None]], line_end: str) -> bytes:
    lines = [f"  {token}\t{day} # remark" if day else token for token, day in entries]
    return line_end.join(["# a list", "", *lines]).encode()


def parsed(entries: list[tuple[str, date | None]]) -> IdList:
    return parse_id_list(as_text(entries, "\n"), KEY)


@settings(deadline=None)
@given(ENTRIES, st.sampled_from(["\n", "\r\n"]))
def test_a_list_holds_its_ids_each_up_to_its_latest_end(entries: list[tuple[str, date | None]], line_end: str) -> None:
    expected: dict[int, int] = {}
    for token, day in entries:
        hashed = hash_token(token, KEY)
        expected[hashed] = max(expected.get(hashed, 0), end_ms(day))

    found = parse_id_list(as_text(entries, line_end), KEY)

    assert dict(zip(found.hashes.tolist(), found.ends_ms.tolist(), strict=True)) == expected
    assert found.hashes.tolist() == sorted(expected)


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 5), ENTRIES), max_size=5), st.data())
def test_matches_are_those_of_looking_at_every_entry(
    lists: list[tuple[int, list[tuple[str, date | None]]]], data: st.DataObject
) -> None:
    rows = np.zeros(3, dtype=DECODED)
    absent_or_token = st.none() | st.sampled_from(TOKENS)
    tokens = data.draw(st.lists(st.lists(absent_or_token, min_size=6, max_size=6), min_size=3, max_size=3))
    days = [day for _, entries in lists for _, day in entries if day]
    times_ms = [data.draw(st.sampled_from([0, *map(end_ms, days)])) - data.draw(st.integers(0, 1)) for _ in rows]
    rows["event_time_ms"] = times_ms
    for row, of_entities in zip(rows, tokens, strict=True):
        row["entity_hash"] = [0 if token is None else hash_token(token, KEY) for token in of_entities]

    matches = ListMatcher([(entity, parsed(entries)) for entity, entries in lists]).matches(rows)

    for bits, of_entities, time_ms in zip(matches.tolist(), tokens, times_ms, strict=True):
        holding = {
            place
            for place, (entity, entries) in enumerate(lists)
            for token, day in entries
            if token == of_entities[entity] and time_ms < end_ms(day)
        }
        assert {place for place in range(len(lists)) if bits >> place & 1} == holding


def test_the_last_of_all_lists_has_its_bit() -> None:
    rows = np.zeros(1, dtype=DECODED)
    rows["entity_hash"] = hash_token("a", KEY)
    lists = [(place % len(ENTITIES), parsed([("a", None)])) for place in range(MAX_LISTS)]
    assert ListMatcher(lists).matches(rows).tolist() == [2**64 - 1]
    with pytest.raises(ValueError, match="at most 64"):
        ListMatcher([*lists, lists[0]])


def test_the_digest_is_that_of_ids_and_ends() -> None:
    day = date(2027, 1, 31)
    contents = (b"a", b"a 2027-01-31", b"b", b"")
    digests = {parse_id_list(content, KEY).digest for content in contents}
    assert len(digests) == 4
    assert parsed([("a", None), ("b", day)]).digest == parsed([("b", day), ("a", day), ("a", None)]).digest


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("4111111111111111", "card number"),
        ("4111-1111-1111-1111", "card number"),
        ("4111 1111 1111 1111", "behind an id only a day"),
        ("käse", "printable ASCII"),
        ("x" * 129, "1 to 128"),
        ("secret-id 2027-02-30", "2027-02-30 is no day of the calendar"),
        ("secret-id 0000-00-00", "behind an id only a day"),
        ("secret-id 2027-1-31", "behind an id only a day"),
        ("secret-id 2027-01-311", "behind an id only a day"),
        ("secret-id other-id", "behind an id only a day"),
        ("secret-id 2027-01-31 other-id", "behind an id only a day"),
    ],
)
def test_a_line_that_is_none_is_named_and_not_shown(line: str, words: str) -> None:
    with pytest.raises(IdListError, match=words) as refused:
        parse_id_list(f"good\n{line}\n".encode(), KEY)
    assert str(refused.value).startswith("line 2: ")
    assert line.split(maxsplit=1)[0] not in str(refused.value)
