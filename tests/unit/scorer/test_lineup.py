import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from scorer.errors import LineupError
from scorer.lineup import MOST_SHADOWS, CanaryRole, Lineup

A, B, C, D = (digit * 12 for digit in "abcd")
FULL = Lineup(champion=A, canary=CanaryRole(version=B, share=0.1, salt=B), shadows=(C,), previous=D)


def test_a_promotion_remembers_the_champion_before_and_ends_the_canary() -> None:
    assert FULL.promoted(B) == Lineup(champion=B, shadows=(C,), previous=A)
    assert FULL.promoted(C) == Lineup(champion=C, previous=A)


def test_going_back_twice_is_going_forth() -> None:
    promoted = Lineup(champion=A).promoted(B)
    assert promoted.rolled_back() == Lineup(champion=A, previous=B)
    assert promoted.rolled_back().rolled_back() == promoted


def test_a_canary_is_salted_by_its_version_and_is_no_shadow_any_more() -> None:
    lineup = Lineup(champion=A, shadows=(B, C)).with_canary(B, share=0.05)
    assert lineup.canary == CanaryRole(version=B, share=0.05, salt=B)
    assert lineup.shadows == (C,)
    assert lineup.with_canary(B, share=0.5).canary == CanaryRole(version=B, share=0.5, salt=B)
    assert lineup.without_canary() == Lineup(champion=A, shadows=(C,))


def test_shadows_are_replaced_as_a_whole() -> None:
    assert FULL.with_shadows((D, D)).shadows == (D,)
    assert FULL.with_shadows(()).shadows == ()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda: FULL.promoted(A), "champion already"),
        (lambda: Lineup(champion=A).rolled_back(), "promote the one you want"),
        (lambda: FULL.with_canary(A, share=0.1), "is the champion"),
        (lambda: FULL.with_canary(C, share=0.0), "between 0 and 1"),
        (lambda: FULL.with_canary(C, share=1.0), "between 0 and 1"),
        (lambda: Lineup(champion=A).without_canary(), "no canary"),
        (lambda: FULL.with_shadows((A,)), "is the champion"),
        (lambda: FULL.with_shadows((B,)), "stop it first"),
        (lambda: FULL.with_shadows(tuple(f"{n:012x}" for n in range(MOST_SHADOWS + 1))), "are the most"),
    ],
)
def test_what_makes_no_sense_is_refused_with_what_to_do(change: object, words: str) -> None:
    assert callable(change)
    with pytest.raises(LineupError, match=words):
        change()


@pytest.mark.parametrize(
    "faulty",
    [
        {"champion": A, "canary": {"version": A, "share": 0.1, "salt": "x"}},
        {"champion": A, "shadows": [A]},
        {"champion": A, "shadows": [B, B]},
        {"champion": A, "previous": A},
        {"champion": "../../etc"},
        {"champion": A, "canary": {"version": B, "share": 1, "salt": "x"}},
        {"champion": A, "surprise": 1},
    ],
)
def test_no_line_up_is_read_that_gives_a_model_two_roles_or_none_at_all(faulty: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Lineup.model_validate(faulty)


VERSIONS = st.sampled_from([A, B, C, D])
CHANGES = st.one_of(
    st.tuples(st.just("promoted"), VERSIONS),
    st.tuples(st.just("rolled_back"), st.none()),
    st.tuples(st.just("with_canary"), VERSIONS),
    st.tuples(st.just("without_canary"), st.none()),
    st.tuples(st.just("with_shadows"), st.lists(VERSIONS, max_size=3)),
)


@given(st.lists(CHANGES, max_size=12))
def test_whatever_is_done_each_model_has_one_role_and_the_way_back_leads_back(
    changes: list[tuple[str, str | list[str] | None]],
) -> None:
    lineup = Lineup(champion=A)
    for name, argument in changes:
        before = lineup
        try:
            if name == "with_canary":
                assert isinstance(argument, str)
                lineup = lineup.with_canary(argument, share=0.2)
            elif name == "with_shadows":
                assert isinstance(argument, list)
                lineup = lineup.with_shadows(tuple(argument))
            else:
                lineup = getattr(lineup, name)(*([] if argument is None else [argument]))
        except LineupError:
            continue
        assert Lineup.model_validate_json(lineup.content) == lineup
        if name == "promoted":
            assert lineup.rolled_back().champion == before.champion
    assert lineup.versions >= {lineup.champion, *lineup.shadows}


def test_the_version_is_that_of_the_roles() -> None:
    assert FULL.lineup_version == FULL.model_copy().lineup_version
    assert FULL.lineup_version != FULL.with_canary(B, share=0.2).lineup_version
