"""A plan serves any definition there can be, not only those that a view has today."""

import math
from collections.abc import Sequence
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from feature_service.catalogue import VIEWS, view
from feature_service.catalogue.definitions import (
    DAY_MS,
    HORIZON_MS,
    HOUR_MS,
    MINUTE_MS,
    Aggregate,
    Derived,
    Feature,
    Input,
    Operation,
    RequestFeature,
    Statistic,
)
from feature_service.errors import CatalogueError
from feature_service.plan import Plan, make_plan
from feature_service.records import COUNTERPARTS, ENTITIES, ENTITY_INDEX
from tests.oracle.features import feature_vector
from tests.oracle.kernel_calls import kernel_vectors
from tests.oracle.worlds import LARGE_WORLDS, World

WINDOWS_MS = (MINUTE_MS, 10 * MINUTE_MS, HOUR_MS, DAY_MS, 7 * DAY_MS, 30 * DAY_MS)
DELAYS_MS = (0, 0, MINUTE_MS, DAY_MS, 7 * DAY_MS)


def plan_of(chosen: Sequence[Feature]) -> Plan:
    """The plan of features that need not be in the catalogue."""
    known = {feature.name: feature for feature in chosen}
    with patch("feature_service.plan.features", lambda names: tuple(known[name] for name in names)):
        return make_plan(tuple(known))


@st.composite
def aggregates(draw: st.DrawFn) -> Aggregate:
    entity = draw(st.sampled_from(ENTITIES))
    statistic = draw(st.sampled_from(Statistic))
    is_of_labels = statistic in (Statistic.FRAUD_COUNT, Statistic.FRAUD_RATE)
    records = Input.ATTEMPTS if is_of_labels else draw(st.sampled_from(Input))
    if statistic in (Statistic.SECONDS_SINCE_PREVIOUS, Statistic.TRAVEL_SPEED_KMH):
        return Aggregate(entity=entity, statistic=statistic, input=records, include_current=False)
    with_value = statistic in (Statistic.DISTINCT, Statistic.SAME)
    return Aggregate(
        entity=entity,
        statistic=statistic,
        input=records,
        of=draw(st.sampled_from((*COUNTERPARTS[entity], "country"))) if with_value else "",
        window_ms=draw(st.sampled_from(WINDOWS_MS)),
        delay_ms=draw(st.sampled_from(DELAYS_MS)),
        include_current=draw(st.booleans()),
    )


@given(
    chosen=st.lists(aggregates(), min_size=1, max_size=40, unique_by=lambda each: each.name),
    worlds=st.lists(LARGE_WORLDS, min_size=1, max_size=3),
)
@settings(max_examples=60, derandomize=True, deadline=None)
def test_whatever_can_be_defined_is_computed(chosen: list[Aggregate], worlds: list[World]) -> None:
    plan = plan_of(chosen)
    for world in worlds:
        values = kernel_vectors(plan, [world.asked], world.histories)[0][0]
        right = feature_vector(chosen, world.asked, world.payments, world.labels)
        expected = [math.nan if value is None else value for value in right]
        np.testing.assert_allclose(values, expected, rtol=1e-8, atol=1e-6)


def test_derived_features_of_derived_features_follow_their_operands() -> None:
    amount = RequestFeature("amount")
    half = Derived("half", Operation.RATIO, (amount, Derived("twice", Operation.RATIO, (amount, amount))))
    assert plan_of((Derived("last", Operation.IS_ZERO, (half,)),)).arrays.derived[:, 0].tolist() == [
        *(Operation.RATIO, Operation.RATIO, Operation.IS_ZERO)
    ]


def test_operands_need_not_be_chosen() -> None:
    plan = make_plan(("customer_count_1h_over_7d",))
    assert plan.names == ("customer_count_1h_over_7d",)
    assert plan.arrays.windows[:, 0].tolist() == [HOUR_MS, 7 * DAY_MS]
    assert plan.arrays.chosen.shape == (1,)


def test_only_the_entities_of_the_chosen_features_are_read() -> None:
    assert make_plan(("amount", "is_night")).entities == ()
    assert make_plan(("amount_over_terminal_amount_mean_1d_before",)).entities == (ENTITY_INDEX["terminal"],)
    assert make_plan(view("handbook").names).entities == (ENTITY_INDEX["customer"], ENTITY_INDEX["terminal"])
    assert len(make_plan(view("production").names).entities) == len(ENTITIES)


@pytest.mark.parametrize("name", VIEWS)
def test_a_lane_is_walked_once_through_windows_that_grow(name: str) -> None:
    arrays = make_plan(view(name).names).arrays
    for first, end in arrays.entity_lanes.tolist():
        lanes = arrays.lanes[first:end].tolist()
        assert len({tuple(lane[:5]) for lane in lanes}) == len(lanes)
        for lane in lanes:
            widths = arrays.windows[lane[5] : lane[6], 0].tolist()
            assert widths == sorted(set(widths))
            assert widths[-1] + lane[4] <= HORIZON_MS


@pytest.mark.parametrize("name", VIEWS)
def test_every_slot_has_one_source(name: str) -> None:
    arrays = make_plan(view(name).names).arrays
    written = [*arrays.outputs[:, 1].tolist(), *arrays.derived[:, 1].tolist()]
    assert len(set(written)) == len(written)
    assert arrays.slot_count == len(written) + 9  # the request's


def test_a_feature_asked_for_twice_comes_twice() -> None:
    assert len(set(make_plan(("amount", "amount")).arrays.chosen.tolist())) == 1


def test_unknown_features_are_refused() -> None:
    with pytest.raises(CatalogueError, match="not in the catalogue: customer_count_2d"):
        make_plan(("customer_count_2d",))
