from hypothesis import given, settings
from hypothesis import strategies as st

from scorer.policy import Action
from scorer.policy.lists import NO_MATCH, EntityListData, match_of
from tests.unit.scorer.policy.policies import a_list

LISTS = st.lists(
    st.one_of(
        st.sampled_from(["CHALLENGE", "REVIEW", "DECLINE"]).map(lambda action: a_list(at_least=action)),
        st.sampled_from(["APPROVE", "CHALLENGE", "REVIEW"]).map(lambda action: a_list(at_most=action)),
    ).map(EntityListData.model_validate),
    max_size=4,
)


@settings(deadline=None)
@given(LISTS, st.sampled_from(Action))
def test_the_severest_block_wins_over_the_mildest_allowance(lists: list[EntityListData], action: Action) -> None:
    expected = action
    for each in lists:
        if each.at_most is not None:
            expected = min(expected, Action[each.at_most])
    for each in lists:
        if each.at_least is not None:
            expected = max(expected, Action[each.at_least])
    match = match_of(lists)
    assert match.bound(action) is expected
    assert match.blocks == any(each.at_least for each in lists)


@settings(deadline=None)
@given(st.sampled_from(Action))
def test_no_list_changes_nothing(action: Action) -> None:
    assert NO_MATCH.bound(action) is action
